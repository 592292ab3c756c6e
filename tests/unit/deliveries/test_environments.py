"""The names of environments that mean production."""

import pytest

from service.deliveries.environments import environment_names, means_production


@pytest.mark.parametrize(
    "name",
    [
        *("production", "prod", "prd", "live", "Production", "LIVE", "PROD"),
        *(
            "prod-eu",
            "Prod/EU",
            "production-us-east-1",
            "Production \N{EN DASH} web",
            "prod_2",
            "prod.eu",
            "Production (EU)",
        ),
        *("eu-prod", "eu_west_1.prd", "us-east-1/live", "acme-web-production", "Web (Production)", "k8s:prod", "prod1"),
        *("euProd", "ProdEU", "production-canary", "prod blue", "live-site", "production/web", "aws-prod-eu-central-1"),
    ],
)
def test_a_name_with_a_word_for_production_means_production(name: str) -> None:
    assert means_production(name)
    assert environment_names(name)[-1].lower() == "production"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "pre-production",
            "preprod",
            "pre_prod",
            "Pre Prod",
            "preProd",
            "preproduction",
            "pré-production",
            "PRE-PROD",
        ),
        *("non-prod", "nonprod", "non_production", "not-production", "no-prod"),
        *("staging-production-copy", "production-staging", "prod-copy", "prod-like", "production mirror", "prod-clone"),
        *("prod-test", "test-prod", "prod-qa", "uat-prod", "live-preview", "prod-sandbox", "demo-live", "prod-dry-run"),
        *(
            "product-1",
            "products",
            "alive",
            "delivery",
            "reproduction",
            "staging",
            "eu-1",
            "",
            "1",
            "-",
            "github-pages",
        ),
    ],
)
def test_a_name_that_resembles_production_does_not_mean_it(name: str) -> None:
    assert not means_production(name)
    assert "production" not in environment_names(name)[1:]


def test_the_provider_decides_whatever_the_name() -> None:
    assert environment_names("eu-1", flagged=True) == ("eu-1", "production")
    assert environment_names("pre-production", flagged=True) == ("pre-production", "production")
    assert environment_names("eu-1", tier="production") == ("eu-1", "production")
    assert environment_names("prod-eu", tier="staging") == ("prod-eu", "staging")
    assert environment_names("prod-eu", tier="other") == ("prod-eu", "other", "production")
    assert environment_names(None) == environment_names(None, tier="") == ()


def test_equal_values_are_listed_once() -> None:
    assert environment_names("Production") == ("Production",)
    assert environment_names("production", tier="production", flagged=True) == ("production",)
