"""Text of the viewer: names from data stay text, whatever they hold."""

from html.parser import HTMLParser

from made_scene import made_recording

from bev.visualization.viewer.wording import box_rows, distinct, legend, note, plain, table

HOSTILE = "<img src=x onerror='harm()'>\u202e\"quoted\" & 'marked'\n\u2028\x1b[31m" + "long " * 2000


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        assert {name for name, _ in attributes} <= {"style", "scope"}


def test_names_are_one_printable_line_of_bounded_length():
    name = plain(HOSTILE)
    assert name.isprintable() and len(name) == 60 and name.endswith("…")
    assert plain("a\u202eb\n\ud800") == "a\\u202eb\\n\\ud800"
    assert plain("גשר العربية 桥") == "גשר العربية 桥"


def test_names_that_look_the_same_are_told_apart():
    assert distinct(["a", "b", "a", "a", HOSTILE, HOSTILE])[:4] == ["a", "b", "a (2)", "a (3)"]
    assert len(set(distinct([HOSTILE] * 3))) == 3


def test_html_has_no_other_elements_than_its_own():
    rows = box_rows(made_recording(HOSTILE, (HOSTILE, HOSTILE)), 1, _boxes(), 0)
    assert Tags(table(rows)).tags == {"table", "tr", "th", "td", "bdi"}
    assert Tags(legend([(HOSTILE, (0, 0, 0))])).tags == {"div", "span", "bdi"}
    assert Tags(note(HOSTILE)).tags == {"div"}


def test_the_numbers_of_a_box():
    recording = made_recording()
    truth = dict(box_rows(recording, 0, recording.moments[0].boxes[0], 1))
    assert truth == {
        "set": "ground truth", "class": "post", "length × width × height": "4.00 × 2.00 × 1.50 m",
        "x, y, z": "5.00, 8.00, 0.75 m", "distance": "9.4 m", "heading": "86°",
        "speed": "2.00 m/s (7 km/h)", "track": "9", "points in it": "7",
    }  # fmt: skip
    predicted = dict(box_rows(recording, 1, _boxes(), 0))
    assert predicted["score"] == "0.900" and predicted["speed"] == "unknown"


def _boxes():
    return made_recording().moments[0].boxes[1]
