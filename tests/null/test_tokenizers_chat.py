"""Chat templates: what they render, and that a template cannot hang, fill memory, flood or reach out of its sandbox."""

from __future__ import annotations

import pytest
import tokenizer_samples as samples

from tritmark.engine.errors import FormatError
from tritmark.engine.tokenizers import Tokenizer, chat, load_tokenizer

MESSAGES = [{"role": "user", "content": " Hello "}]
METADATA = samples.byte_pairs([("a", "b")])


def with_template(template: str) -> Tokenizer:
    return load_tokenizer(METADATA | {"tokenizer.chat_template": template})


def test_messages_take_the_form_of_the_template() -> None:
    tokenizer = load_tokenizer(METADATA)
    turns = [*MESSAGES, {"role": "assistant", "content": "Hi <&>\u4f60"}]
    text = "<|begin_of_text|>User: Hello<|eot_id|>Assistant: Hi <&>\u4f60<|eot_id|>"
    assert tokenizer.chat(turns, add_generation_prompt=False) == text
    assert tokenizer.chat(turns) == text + "Assistant: "


def test_lines_of_blocks_leave_no_trace() -> None:
    template = "{% for message in messages %}\n  {% if true %}\n{{ message.content }}\n  {% endif %}\n{% endfor %}\n"
    assert with_template(template).chat(MESSAGES) == " Hello \n"


def test_templates_may_break_loops_and_write_json() -> None:
    template = "{% for message in messages %}{{ message | tojson }}{% break %}{% endfor %}"
    turn = {"role": "user", "content": "<é>"}
    assert with_template(template).chat([turn, turn]) == '{"role": "user", "content": "<é>"}'


def test_encoding_a_chat_gives_bos_once_and_parses_the_end_of_turns() -> None:
    tokenizer = load_tokenizer(METADATA)
    eot = METADATA["tokenizer.ggml.tokens"].index("<|eot_id|>")
    for template in (samples.TEMPLATE, samples.TEMPLATE.replace("{{ bos_token }}", "")):
        ids = with_template(template).encode_chat(MESSAGES)
        assert ids.count(tokenizer.bos_id) == 1 == ids.count(eot) and ids[0] == tokenizer.bos_id


REFUSED = {
    "raises": ("{{ raise_exception('roles must\nalternate') }}", "roles must alternate"),
    "is not a template": ("{% for %}", "TemplateSyntaxError"),
    "names what is not there": ("{{ nothing.at.all }}", "'nothing' is undefined"),
    "leaves the sandbox": ("{{ messages.__class__.__mro__ }}", "SecurityError"),
    "changes its input": ("{{ messages.append(1) }}", "SecurityError"),
    "yields megabytes": ("{% for a in range(99999) %}{{ 'x' * 99 }}{% endfor %}", "more than 1,048,576 characters"),
    "yields megabytes at once": ("{{ 'x' * 9999999 }}", "more than 1,048,576 characters"),
    "fills memory": ("{{ ('x' * 3000000000) | length }}", "MemoryError"),
    "calls itself for ever": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
}


@pytest.mark.parametrize(("template", "message"), REFUSED.values(), ids=REFUSED)
def test_a_template_is_refused_in_one_line_if_it(template: str, message: str) -> None:
    with pytest.raises(FormatError) as refusal:
        with_template(template).chat(MESSAGES)
    assert message in str(refusal.value) and "\n" not in str(refusal.value) and len(str(refusal.value)) < 300


@pytest.mark.parametrize("template", [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 9 ** (9 ** 9) }}",  # one operation, which nothing inside the process could stop
])
def test_a_template_that_runs_for_ever_is_stopped(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "TIMEOUT_S", 1.0)
    with pytest.raises(FormatError, match="stopped after 1 s"):
        with_template(template).chat(MESSAGES)


def test_a_model_tells_whether_it_has_a_template() -> None:
    assert load_tokenizer(METADATA).has_chat_template
    assert not load_tokenizer(samples.spm({"a": -1.0})).has_chat_template


def test_a_model_without_a_template_says_so() -> None:
    with pytest.raises(FormatError, match="no chat format"):
        load_tokenizer(samples.spm({"a": -1.0})).chat(MESSAGES)
