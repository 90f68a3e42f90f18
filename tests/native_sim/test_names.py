"""One check of names that stand in paths, and one of texts that are shown."""

import pytest

from native_sim.names import check_name, check_shown, plain, shortened


@pytest.mark.parametrize("name", ["a", "base", "custom-v2", "A_b.c-9", "_x", "9", "a" * 100])
def test_names_that_are_safe_everywhere(name):
    assert check_name("the name", name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "a\\b", "-x", ".x", "a b", "a\n", "a\0", "é", "$x$", ":a:", "[r]", "\ud800"),
        *("a" * 101, "a" * 5_000, None, 3, ["a"]),
    ],
)
def test_names_that_are_not(name):
    with pytest.raises(ValueError, match="the name must consist of 1 to 100 letters") as error:
        check_name("the name", name)
    assert len(str(error.value)) < 400
    str(error.value).encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – text 😀\n\t", "plain – text 😀\n\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\0b\x7f", "a\\x00b\\x7f"),
        ("\udcff", "\\udcff"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_no_output_can_show_is_escaped(text, shown):
    assert plain(text) == shown
    plain(text).encode()


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "\x1b", "\udcff", "x" * 1_001])
def test_texts_that_are_refused(text):
    with pytest.raises(ValueError, match="on one line"):
        check_shown("the text", text)


def test_long_texts_are_shortened():
    assert shortened("x" * 200) == "x" * 200
    assert len(shortened("x" * 201)) <= 200
    assert shortened("a" + "x" * 500 + "z").startswith("ax")
    assert shortened("a" + "x" * 500 + "z").endswith("xz")
