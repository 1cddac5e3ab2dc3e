"""Jobs that tests look at only when they have ended, submitted together as soon as the server is up.

The server works on them while the first story is told, so that nobody waits for them alone.
"""

SECRET = "hf_" + "a1B2" * 9
TAGS = {"experiment": "contract-20260101T000000Z", "condition": "dynunet", "cycle": 1}
TRACEBACK = """cat >&2 <<'LOG'
Traceback (most recent call last):
  File "/app/train.py", line 8, in <module>
    loss = model(batch)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 82.00 MiB. GPU 0 has 21.96 GiB in total.
LOG
exit 1
"""
CONTRACT = {
    "contract-ok": {"run": f"echo hello; echo HF_TOKEN={SECRET}", "_metadata": {"fmon": TAGS}},
    "contract-bad": {"setup": "echo 'ERROR: no such package' >&2; exit 3", "run": "true"},
}
DYING = {
    "dying-oom": {"run": TRACEBACK},
    "dying-setup": {
        "setup": "echo 'ERROR: No matching distribution found for mamba-ssm==9' >&2; exit 1",
        "run": "true",
    },
    "dying-file": {"run": "python3 -c \"open('data/splits.json')\""},
    "dying-killed": {"run": "bash -c 'kill -9 $$'"},
    "dying-silent": {
        "tasks": [
            {"name": "prep", "run": "python3 -c \"open('cache.json')\" || echo building it"},
            {"name": "train", "run": "exit 3"},
        ]
    },
}
AGAIN = "fails-once"
"""Fails; when it runs again, it prints two lines and then nothing until ``may_end`` is in its folder."""
AGAIN_FOLDER = "/tmp/{user}.{job_id}"
FOLDER = AGAIN_FOLDER.format(user="$USER", job_id="$SKYPILOT_MANAGED_JOB_ID")
RECOVERED = {
    AGAIN: {
        "run": f"""if mkdir "{FOLDER}" 2>/dev/null; then echo "KeyError: 'first'" >&2; exit 3; fi
echo "epoch 1"
echo "epoch 2"
until [ -e "{FOLDER}/may_end" ]; do sleep 1; done
echo "all done"
"""
    }
}
TASKS = [{"name": name, **task} for name, task in {**CONTRACT, **DYING, **RECOVERED}.items()]
