# The image has the service only, without embedded PostgreSQL and development tools.
# docs/development/releasing.md describes how the image is tested.
FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c AS build
# SOURCE_DATE_EPOCH gives all files in the wheel the same date, so that every build makes the same wheel.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore SOURCE_DATE_EPOCH=1577836800
WORKDIR /source
COPY requirements-image.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/loopgauge \
    && python -m pip --python /opt/loopgauge/bin/python install --no-compile --only-binary :all: \
        --require-hashes --requirement requirements-image.lock
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --only-binary :all: --require-hashes --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY service service
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /opt/build/wheels . \
    && python -m pip --python /opt/loopgauge/bin/python install --no-compile --no-deps --no-index \
        --find-links /opt/build/wheels loopgauge \
    && python -m pip --python /opt/loopgauge/bin/python check
# Compile the modules now, because the user that runs the container cannot write bytecode files. Each bytecode file
# records the hash of its source instead of the source's date, so that every build writes the same bytes.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/loopgauge

FROM python:3.13.16-slim-trixie@sha256:bf44cdfcb76cd3b41e879bc058fc37ec5872002ccfde7fcb765e218cde0cd79c
ARG VERSION=unknown REVISION=unknown SOURCE=unknown
LABEL org.opencontainers.image.title="loopgauge" \
    org.opencontainers.image.description="Feedback-loop latency for engineering organisations" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.source="${SOURCE}"
# A container may run as any user, so every user must be able to write the spool, even if no volume is mounted.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && install --directory --mode 1777 /var/lib/loopgauge
COPY --from=build /opt/loopgauge /opt/loopgauge
ENV PATH=/opt/loopgauge/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    LOOPGAUGE_HOST=0.0.0.0 LOOPGAUGE_PORT=8080 LOOPGAUGE_DATA_DIR=/var/lib/loopgauge
WORKDIR /var/lib/loopgauge
VOLUME /var/lib/loopgauge
EXPOSE 8080
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('localhost', int(os.environ['LOOPGAUGE_PORT']), timeout=4); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["loopgauge"]
CMD ["serve"]
