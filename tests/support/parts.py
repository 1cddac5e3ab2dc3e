"""The log of a job of several tasks, as SkyPilot prints it when the job has ended."""

HINT = (
    "Hint: This job has 2 tasks. Use 'sky jobs logs 3 TASK' to view logs for a specific task "
    "(TASK can be task ID or name).\n"
)
STARTED = (
    "├── Waiting for task resources on 1 node.\n"
    "└── Job started. Streaming logs... (Ctrl-C to exit log streaming; job will not be killed)\n"
)


def heading(task_id: int) -> str:
    """Give the first lines of a part."""
    return f"=== Task t{task_id}({task_id}) ===\n{STARTED}"


def parts(*bodies: str) -> str:
    """Give the log of tasks 0, 1, ... of which the last one failed."""
    statuses = ["SUCCEEDED"] * (len(bodies) - 1) + ["FAILED"]
    each = (
        f"{heading(task)}{body}✓ Task t{task}({task}) finished (status: {status}).\n"
        for task, (body, status) in enumerate(zip(bodies, statuses, strict=True))
    )
    hint = HINT.replace("2 tasks", f"{max(2, len(bodies))} tasks")
    return f"{hint}{''.join(each)}✓ Job finished (status: FAILED).\n"
