"""Python's zlib, gzip and zipfile on random data and chunk sizes. What it prints must be the same with and without
our library."""
import gzip
import io
import random
import zipfile
import zlib

rnd = random.Random(7)


def sample(length, kind):
    if kind == 0:
        return rnd.randbytes(length)
    if kind == 1:
        return (b"the quick brown fox %d " % length) * (length // 20 + 1)
    return bytes(rnd.choice(b"abcdef\n ") for _ in range(min(length, 100000)))


def compressed(data, level, bits):
    stream, out, at = zlib.compressobj(level, zlib.DEFLATED, bits), b"", 0
    while at < len(data):
        step = rnd.choice([1, 100, 5000, 65536, 200000])
        out += stream.compress(data[at : at + step])
        at += step
        chance = rnd.random()
        if chance < 0.1:
            out += stream.flush(zlib.Z_SYNC_FLUSH)
        elif chance < 0.15:
            out += stream.flush(zlib.Z_FULL_FLUSH)
        elif chance < 0.2:
            stream = stream.copy()
    return out + stream.flush()


def decompressed(data, bits):
    stream, out, at = zlib.decompressobj(bits), b"", 0
    while at < len(data) and not stream.eof:
        step = rnd.choice([1, 100, 5000, 65536])
        out += stream.decompress(stream.unconsumed_tail + data[at : at + step], rnd.choice([0, 1, 300, 100000]))
        at += step
    while stream.unconsumed_tail and not stream.eof:
        out += stream.decompress(stream.unconsumed_tail)
    return out + stream.flush(), stream.eof


for length in (0, 1, 10, 300, 5000, 70000, 600000):
    for kind in (0, 1, 2):
        # Not what the last round left: how much chance it used depends on the compressor.
        rnd.seed(length * 10 + kind)
        data = sample(length, kind)
        for level in (0, 1, 6, 9):
            for bits in (15, 31, -15):
                out = compressed(data, level, bits)
                assert zlib.decompress(out, bits) == data, (length, kind, level, bits)
                assert decompressed(out + b"garbage", bits) == (data, True), (length, kind, level, bits)
        assert gzip.decompress(gzip.compress(data) + gzip.compress(data[:1000])) == data + data[:1000]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("name", data)
        assert zipfile.ZipFile(archive).read("name") == data
        print(length, kind, len(data), zlib.crc32(data), zlib.adler32(data))

good = bytes.fromhex("789c4b4c4a4e494d4bcfc8cccacec9cdcb2f282c2a2e292d2bafa8ac0200907d0b20")
for bad in (good[:20], b"x" + good, good[:-1] + b"\0", good[:5] + b"\xff" + good[6:], b""):
    try:
        print(zlib.decompress(bad))
    except zlib.error as error:
        print(error)
