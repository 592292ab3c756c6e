"""The demo: an organisation that never was, and a client that posts what its tools would.

It stands outside the service: it speaks HTTP to it as a customer's tools do, and sees of it what an answer says.
"""
