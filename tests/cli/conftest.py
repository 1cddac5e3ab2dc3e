"""A person at the terminal."""

import pytest


@pytest.fixture
def person(monkeypatch):
    """Somebody who sits at the terminal and gives these answers; the questions are kept."""

    def answering(*answers):
        left, asked = list(answers), []

        def confirm(question, err):
            assert err
            asked.append(question)
            return left.pop(0)

        monkeypatch.setattr("fmon.cli.ask.can_ask", lambda: True)
        monkeypatch.setattr("typer.confirm", confirm)
        return asked

    return answering
