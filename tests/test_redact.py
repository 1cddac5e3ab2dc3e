"""Secrets go, everything else stays, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmon.redact import redact

RANDOM = "a1B2c3D4e5F6g7H8i9J0"

SECRETS = {
    "huggingface": "hf_" + "a1B2" * 9,
    "github": "ghp_" + "a1B2" * 9,
    "gitlab": "glpat-" + RANDOM,
    "docker": "dckr_pat_" + RANDOM,
    "aws": "AKIA" + "A1B2" * 4,
    "gcp": "AIza" + "a1B2c" * 7,
    "slack": "xoxb-" + "1234567890-abcdef",
    "openai": "sk-proj-" + RANDOM,
    "anthropic": "sk-ant-api03-" + RANDOM,
    "wandb": "wandb_v1_" + RANDOM,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
}
MORE = [
    ("github", "github_pat_" + "11AB" * 10),
    ("github", "ghs_" + "a1B2" * 9),
    ("aws", "ASIA" + "A1B2" * 4),
    ("gcp", "ya29.a0Ae-" + RANDOM),
    ("slack", "xapp-1-A111-" + RANDOM),
    ("openai", "sk-" + RANDOM * 2),
    ("jwt", "sky_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
]


@pytest.mark.parametrize(("kind", "secret"), [*SECRETS.items(), *MORE])
@pytest.mark.parametrize(
    "around", ["{}", "log: {} and on", "('{}')", "x={}\n", '{{"a":"{}"}}', "\x1b[31m{}\x1b[0m"]
)
def test_a_token_is_known_by_its_shape(kind, secret, around):
    assert redact(around.format(secret)) == around.format(f"[redacted:{kind}]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WANDB_API_KEY=abc123def", "WANDB_API_KEY=[redacted:key]"),
        ("export MY_TOKEN=abc", "export MY_TOKEN=[redacted:token]"),
        ("\x1b[31mMY_KEY=\x1b[0mabc", "\x1b[31mMY_KEY=\x1b[0m[redacted:key]"),
        ("line\\nMY_KEY=abc", "line\\nMY_KEY=[redacted:key]"),
        ("A_TOKEN=\nnext: line", "A_TOKEN=\nnext: line"),
        ("api_key : abc", "api_key : [redacted:key]"),
        ('f(api_key= "abc")', 'f(api_key= "[redacted:key]")'),
        ("MLFLOW_TRACKING_PASSWORD='a b' x", "MLFLOW_TRACKING_PASSWORD='[redacted:password]' x"),
        ("APP_SECRET: abc", "APP_SECRET: [redacted:secret]"),
        ("SORT_KEY=id", "SORT_KEY=[redacted:key]"),
        ("password=hunter two", "password=[redacted:password] two"),
        ("  password: correcthorse", "  password: [redacted:password]"),
        ("(job, pid=7) password: correcthorse", "(job, pid=7) password: [redacted:password]"),
        ("aws_secret_access_key = wJalr/K7MDENG", "aws_secret_access_key = [redacted:key]"),
        ("'SecretAccessKey': 'wJalr/K7MDENG'", "'SecretAccessKey': '[redacted:key]'"),
        ('{"api_key":"abc", "n": 1}', '{"api_key":"[redacted:key]", "n": 1}'),
        ("client_secret=abc&x=1", "client_secret=[redacted:secret]&x=1"),
        ("token=" + RANDOM, "token=[redacted:token]"),
        ("db_password='", "db_password='"),
        ('PASSWORD="unclosed quote', 'PASSWORD="[redacted:password]'),
        ("Authorization: Bearer abcdef", "Authorization: Bearer [redacted:authorization]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: Basic [redacted:authorization]"),
        ("{'Authorization': 'token abcdef'}", "{'Authorization': 'token [redacted:authorization]'}"),
        ("with bearer " + RANDOM, "with bearer [redacted:authorization]"),
        ("postgresql://me:p@ss:w@host:5432/db", "postgresql://me:[redacted:password]@host:5432/db"),
        ("http://:only@host", "http://:[redacted:password]@host"),
        ("GET /x?a=1&sig=abcdefgh%3D&b=2", "GET /x?a=1&sig=[redacted:url_parameter]&b=2"),
        (
            "https://b.s3/x?X-Amz-Signature=0a1b2c3d4e",
            "https://b.s3/x?X-Amz-Signature=[redacted:url_parameter]",
        ),
        (
            "https://hooks.slack.com/services/T0/B0/abcdef",
            "https://hooks.slack.com/services/[redacted:slack]",
        ),
        ("mysql --password hunter2 -u me", "mysql --password [redacted:argument] -u me"),
        ("wandb login " + "0a" * 20, "wandb login [redacted:wandb]"),
        (
            "machine api.wandb.ai login user password " + "0a" * 20,
            "machine api.wandb.ai login user password [redacted:password]",
        ),
    ],
)
def test_the_name_stays_and_the_value_goes(text, expected):
    assert redact(text) == expected


BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 5)


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_goes_whole(kind):
    text = f"before\n-----BEGIN {kind}PRIVATE KEY-----\n{BODY}\n-----END {kind}PRIVATE KEY-----\nafter"
    assert redact(text) == "before\n[redacted:private_key]\nafter"


def test_a_private_key_goes_from_json_and_from_prefixed_log_lines():
    flat = "-----BEGIN PRIVATE KEY-----\\n" + BODY.replace("\n", "\\n") + "\\n-----END PRIVATE KEY-----\\n"
    assert (
        redact(f'{{"private_key": "{flat}", "id": 1}}')
        == '{"private_key": "[redacted:private_key]\\n", "id": 1}'
    )
    logged = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----".replace(
        "\n", "\n(job, pid=7) "
    )
    assert redact(f"(job, pid=7) {logged}\nend") == "(job, pid=7) [redacted:private_key]\nend"


def test_a_private_key_that_was_cut_off_goes_too():
    assert redact(f"-----BEGIN PRIVATE KEY-----\n{BODY}") == "[redacted:private_key]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "commit 7e595970a806dcc9eefadf459f399edf1733e962",
        "git_commit=7e595970a806dcc9eefadf459f399edf1733e962 wandb_run=5",
        "wandb: run 7e595970",
        "max_tokens=512 num_token=100 tokens/s: 31.5",
        "tokenizer=bert-base-uncased tokenizer_name: 'gpt2'",
        "pad_token=<pad> eos_token='</s>' unk_token=[UNK] pad_token_id=0",
        "primary_key=id cache_key=dataset-v3 key=value monkey=banana KeyError: 'loss'",
        "ERROR: invalid password: authentication failed for user ada",
        "HF_TOKEN= WANDB_API_KEY=$KEY MY_SECRET=${SECRET} A_TOKEN=<your token> B_PASSWORD=*** C_SECRET=None",
        "keyword arguments: secret sauce, a passive token ring, the bearer of bad news",
        "sk-learn-contrib-with-a-long-name scikit-learn",
        "http://127.0.0.1:46580/dashboard ssh://git@github.com/x me@host.example",
        "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB. GPU 0",
        "KeyError: 'key': 5; key: 3, epoch=7 N_KEY=12",
        "sam3_hybrid-cbdice_cldice-calibtrue-f2 eyJust.a.word hf_hub xox",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@given(
    st.text(alphabet=st.sampled_from("aA1_-=:'\"[]{}<>?&@/. \nkeytoknsrpwdbh"), max_size=200)
    | st.text(max_size=200)
)
def test_no_text_raises_and_redacting_twice_changes_nothing(text):
    once = redact(text)
    assert redact(once) == once


@given(st.sampled_from(sorted(SECRETS.values())), st.text(max_size=50), st.text(max_size=50))
def test_no_secret_survives_wherever_it_stands(secret, before, after):
    assert secret not in redact(f"{before} {secret} {after}")


PARTS = [
    "key",
    "key=",
    "token ",
    "token=",
    'PASSWORD="',
    "password: ",
    "eyJ-",
    "eyJaaaaaaaaa.",
    "a",
    "://a:",
    "http://a:b",
    "-----BEGIN PRIVATE KEY-----",
    "sk-",
    "sk-aaaaaaaaaaaaaaaaaaaa ",
    "authorization: ",
    "bearer ",
    "wandb ",
    "xox-",
    "machine a login ",
    "hf_",
    "github_pat_",
    "?sig=",
    "--token ",
    "A_KEY",
    "[redacted:",
    "  ",
    "\n",
    "'\"",
    "\ud83d",
]


@pytest.mark.parametrize("part", PARTS)
def test_hostile_text_takes_linear_time(part):
    def best(size):
        text = (part * (size // len(part) + 1))[:size]
        times = []
        for _ in range(3):
            began = time.process_time()
            redact(text)
            times.append(time.process_time() - began)
        return min(times)

    assert best(80_000) < 16 * best(10_000) + 0.05


def test_text_without_secrets_costs_next_to_nothing():
    text = "epoch 3/100 loss 0.123 lr 1e-4 step 12345 of 99999, 31 samples per second\n" * 10_000
    began = time.process_time()
    assert redact(text) is text
    assert time.process_time() - began < 0.2
