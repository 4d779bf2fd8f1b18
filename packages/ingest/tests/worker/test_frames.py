from hypothesis import given
from hypothesis import strategies as st

from headwater_ingest.worker.frames import FrameReader, begin_frame, end_frame

FRAMES = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=300)))


def encode(frames: list[tuple[int, bytes]]) -> bytearray:
    buffer = bytearray()
    for number, message in frames:
        at = begin_frame(buffer)
        buffer += message
        end_frame(buffer, at, number=number)
    return buffer


@given(FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_frames_come_out_whole_and_in_order_however_they_are_cut(
    frames: list[tuple[int, bytes]], lengths: list[int]
) -> None:
    sent = bytes(encode(frames))
    reader, found, at, cut = FrameReader(), [], 0, 0
    while at < len(sent):
        length = lengths[cut % len(lengths)]
        found += reader.feed(sent[at : at + length])
        at, cut = at + length, cut + 1

    assert [(each.number, bytes(each.message)) for each in found] == frames


def test_a_frame_comes_out_with_its_last_byte() -> None:
    sent = bytes(encode([(7, b"abc")]))
    reader = FrameReader()

    assert reader.feed(sent[:-1]) == []
    [frame] = reader.feed(sent[-1:])

    assert (frame.number, bytes(frame.message)) == (7, b"abc")


def test_what_was_told_stays_as_it_was_when_more_comes() -> None:
    reader = FrameReader()
    [first] = reader.feed(bytes(encode([(1, b"first")])))

    reader.feed(bytes(encode([(2, b"other")])))

    assert bytes(first.message) == b"first"
