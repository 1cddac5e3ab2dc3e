"""Nothing that detect-secrets (Yelp) knows by its shape is left in a redacted log.

It finds secrets and does not take them out, so it is the oracle here and not the tool (docs/decisions/0010).
"""

import importlib
import pkgutil
import random
import string

import detect_secrets.plugins
import pytest
from detect_secrets.plugins.base import RegexBasedDetector

from fmon.redact import redact

HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits


def some(alphabet: str, count: int) -> str:
    """Draw characters; a digit and a letter are among them where the alphabet has both."""
    drawn = random.Random(f"{alphabet}{count}").choices(alphabet, k=count - 2)
    return "".join([*drawn[: count // 2], alphabet[-1], *drawn[count // 2 :], alphabet[10]])


def base64(count: int) -> str:
    return some(string.ascii_letters + "+/" + string.digits, count)


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"

EXAMPLES = {
    "ArtifactoryDetector": [f"key: AKC{some(ALNUM, 60)}", f'"AP5{some(ALNUM, 30)}"'],
    "AWSKeyDetector": [
        f"AKIA{some(string.ascii_uppercase + string.digits, 16)}",
        f"ASIA{some(string.ascii_uppercase + string.digits, 16)}",
        f'aws_secret_key = "{base64(40)}"',
    ],
    "AzureStorageKeyDetector": [f"AccountName=x;AccountKey={base64(86)}==;EndpointSuffix=core.windows.net"],
    "BasicAuthDetector": ["https://user:pass-word@host/path", "ftp://x:y@z"],
    "CloudantDetector": [
        f"cloudant_password = '{some(HEX, 64)}'",
        f"https://me:{some(HEX, 64)}@me.cloudant.com",
    ],
    "DiscordBotTokenDetector": [f"M{some(ALNUM, 23)}.{some(ALNUM, 6)}.{some(ALNUM, 27)}"],
    "GitHubTokenDetector": [f"{kind}_{some(ALNUM, 36)}" for kind in ("ghp", "gho", "ghu", "ghs", "ghr")],
    "GitLabTokenDetector": [
        *(f"{kind}-{some(ALNUM, 20)}" for kind in ("glpat", "gldt", "glft", "glsoat", "glrt", "glcbt")),
        *(f"glimt-{some(ALNUM, 25)}", f"glptt-{some(ALNUM, 40)}", f"gloas-{some(ALNUM, 64)}"),
        *(f"glagent-{some(ALNUM, 50)}", f"GR1348941{some(ALNUM, 20)}"),
    ],
    "IbmCloudIamDetector": [f"ibm_cloud_iam_api_key = '{some(ALNUM, 44)}'"],
    "IbmCosHmacDetector": [f"ibm_cos_hmac_secret_access_key = '{some(HEX, 48)}'"],
    "JwtTokenDetector": [JWT],
    "MailchimpDetector": [f"{some(HEX, 32)}-us12"],
    "NpmDetector": [f"//registry.npmjs.org/:_authToken=npm_{some(ALNUM, 36)}"],
    "OpenAIDetector": [
        f"sk-{some(ALNUM, 20)}T3BlbkFJ{some(ALNUM, 20)}",
        f"sk-team-{some(ALNUM, 20)}T3BlbkFJ{some(ALNUM, 20)}",
    ],
    "PrivateKeyDetector": [
        f"-----BEGIN {kind}-----\n{base64(64)}\n{base64(30)}\n-----END {kind}-----"
        for kind in (
            *("RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY"),
            *("PRIVATE KEY", "PGP PRIVATE KEY BLOCK"),
        )
    ],
    "PypiTokenDetector": [
        f"pypi-AgEIcHlwaS5vcmc{some(ALNUM, 80)}",
        f"pypi-AgENdGVzdC5weXBpLm9yZw{some(ALNUM, 80)}",
    ],
    "SendGridDetector": [f"SG.{some(ALNUM, 22)}.{some(ALNUM, 43)}"],
    "SlackDetector": [
        "xoxb-123456789012-1234567890123-" + some(LOWER, 24),
        f"https://hooks.slack.com/services/T0A/B0B/{some(ALNUM, 24)}",
    ],
    "SoftlayerDetector": [f"softlayer_api_key = '{some(HEX, 64)}'"],
    "SquareOAuthDetector": [f"sq0csp-{some(ALNUM, 43)}"],
    "StripeDetector": [f"{kind}_live_{some(ALNUM, 24)}" for kind in ("rk", "sk")],
    "TelegramBotTokenDetector": [f"1234567890:AA{some(ALNUM, 33)}"],
    "TwilioKeyDetector": [f"AC{some(HEX, 32)}", f"SK{some(HEX, 32)}"],
}
NO_SECRET = {"IPPublicDetector"}
"""Addresses of hosts are what a network error is about."""


def detectors():
    found = {}
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        loaded = importlib.import_module(f"detect_secrets.plugins.{module.name}")
        for kind in vars(loaded).values():
            is_regex = isinstance(kind, type) and issubclass(kind, RegexBasedDetector)
            if is_regex and not kind.__abstractmethods__:
                found[kind.__name__] = kind()
    return found


DETECTORS = detectors()


def test_every_detector_has_an_example():
    assert DETECTORS.keys() - NO_SECRET == EXAMPLES.keys()


@pytest.mark.parametrize(
    ("name", "example"), [(name, example) for name, examples in EXAMPLES.items() for example in examples]
)
@pytest.mark.parametrize("around", ["{}", "2026-01-01 INFO using {} now", "(train, pid=7) x={}\nnext"])
def test_what_a_detector_finds_is_gone_after_redaction(name, example, around):
    detector = DETECTORS[name]
    text = around.format(example)
    secrets = set(detector.analyze_string(text))
    if around == "{}" or name != "ArtifactoryDetector":  # that one wants a space behind it
        assert secrets, "the example is none"
    left = redact(text)
    found = {secret for secret in detector.analyze_string(left) if "redacted" not in secret}
    assert not found
    assert not [secret for secret in secrets if len(secret) > 8 and secret in left]
