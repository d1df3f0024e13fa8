"""The list that ci/referee runs, how results are compared, and which cases cannot pass and why."""
import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional


class Mismatch(Exception):
    """A result is not what it must be."""


@dataclass
class Case:
    """One line of the table: commands run in order, each on a model of its own."""
    name: str
    engine: str
    commands: list
    limit: int = 60
    verify: Optional[Callable] = None
    # what a good output says, where "no word of failure" is not the test
    trouble: Optional[str] = None
    # `,key=value` for the model, beside the profile
    setting: str = ""


# (profile, case, kind, reason). Kind `absent`: that hardware does not have it, and UADK finds that out by itself;
# `refused`: UADK sends it all the same and the device refuses it; `tool`: UADK or its tool cannot do it on any hardware
# of that kind; `memory`: a fault of the tool's whose effect depends on what lies in memory, so it may
# pass. `refused` must have refusals, `absent` and `tool` may not.
EXCEPTIONS = [
    (r"", r"^dfx usage", "tool", "the usage registers exist from V5 on"),
    (r"kunpeng920", r"^test zip deflate", "refused",
     "V2 has no raw deflate; UADK's test does not look at `algorithms` and sends it as a V3 descriptor"),
    (r"kunpeng930", r"^test zip deflate deflate", "tool",
     "the tool verifies raw deflate with automatic detection of zlib and gzip headers"),
    (r"kunpeng920", r"^(test sec|benchmark) .*(-ctr|-ofb|-cfb|cbc-cs\d|xts-gb)(-| )", "absent",
     "UADK sends only ECB, CBC and XTS to V2"),
    (r"kunpeng920", r"^test sec AES-(CMAC|XCBC|GMAC-\d+ sync)", "refused",
     "V2 has no AES MACs, and UADK does not check that"),
    (r"", r"^test sec AES-GMAC-\d+ async", "tool", "the asynchronous test sets no IV, without which UADK sends no GMAC"),
    (r"", r"^test sec (AES-(CBC|XTS|OFB|CFB|CBC-CS\d)|3DES-CBC|SM4-(CBC|XTS|OFB|CFB))-", "memory",
     "the tool takes strlen of its binary IV: one that begins with 0 is empty to it, one without a 0 overruns the heap"),
    (r"", r"^test sec AES-(CCM|GCM|CBC-HMAC-SHA256)-\d+ async SGL", "memory",
     "the tool takes the tag, a flat buffer, for a list when it prints it"),
    (r"kunpeng920", r"^benchmark (ecdh|ecdsa|sm2|x25519|x448)", "absent", "V2 has RSA and DH only"),
    (r"kunpeng930", r"^benchmark (ecdh|ecdsa)-(384|521)", "tool",
     "asks for secp256r1 with keys of another length, and libwd makes no session of it"),
    (r"kunpeng930", r"^benchmark sm2 decrypt async", "tool",
     "gives the session SHA-256 and a hash function that does nothing, so that C3 never fits; sync has SM3"),
    (r"", r"^benchmark aes-(192-ccm|256-ccm|192-gcm|192-cbc-sha256-hmac)", "tool",
     "the tool has no tag length for it and submits a wrong one"),
    (r"kunpeng920", r"^benchmark deflate", "absent", "V2 has no raw deflate"),
    (r"kunpeng920", r"^benchmark (sm4-128-[cg]cm|sm4-cbc-sm3-hmac)", "absent", "AEAD with SM4 begins with V3"),
    (r"", r"^benchmark (aes-\d+|sm4-128)-ccm \w+ 65536", "refused",
     "UADK writes two bytes of the length into CCM's first block, and leaves the others to its caller"),
    (r"", r"^benchmark (lz77_zstd|lz77_only|lz4)", "absent",
     "not in `algorithms`: the layout of these types is not published"),
]


def why(profile, name):
    """The exception that covers a case: (kind, reason)."""
    for pattern, case, kind, reason in EXCEPTIONS:
        if re.search(pattern, profile) and re.search(case, name, re.IGNORECASE):
            return kind, reason
    return None


def dumped(output, label):
    """The bytes that the tool printed below `label`, as `\\0x..` items."""
    at = output.find(label)
    if at < 0:
        raise Mismatch(f"no {label!r} in the output")
    out = bytearray()
    for line in output[at + len(label):].splitlines()[1 if not output[at + len(label):].startswith("\\") else 0:]:
        items = re.findall(r"\\0x([0-9a-f]+)", line)
        if not items:
            break
        out += bytes(int(item, 16) & 0xFF for item in items)
    return bytes(out)


def same(left, right, what):
    if not left or left != right:
        raise Mismatch(f"{what}: {left.hex()[:40]} is not {right.hex()[:40]}")


def there_and_back(outputs, _):
    """Encryption and decryption of the tool's known-answer vector: each one's output is the other's input."""
    to, back = outputs
    result = "Test cipher sync function: output dst-->"
    same(dumped(to, result), dumped(back, "req src--->:"), "ciphertext")
    same(dumped(back, result), dumped(to, "req src--->:"), "plaintext")
    return "by known answer, both ways"


def sealed_and_opened(outputs, _):
    """The same for an AEAD, with its tag; the associated data in front of the payload is not copied."""
    to, back = outputs
    assoc = int(re.search(r"assoc_bytes: (\d+)", to).group(1))
    same(dumped(to, "aead dump out addr is:")[assoc:], dumped(back, "aead req src in--->")[assoc:], "ciphertext")
    same(dumped(to, "aead dump mac addr is:"), dumped(back, "mac addr src is:"), "tag")
    same(dumped(back, "aead dump out addr is:")[assoc:], dumped(to, "aead req src in--->")[assoc:], "plaintext")
    return "by known answer, both ways, with tag"


def digest_by(name):
    """Compares with hashlib, if this Python has the digest."""
    def verify(outputs, _):
        try:
            digest = hashlib.new(name)
        except ValueError:
            return ""
        digest.update(dumped(outputs[0], "req src in--->:"))
        out = dumped(outputs[0], "req's out--->")
        same(out, digest.digest()[:len(out)], "digest")
        return "with hashlib"
    return verify


def stream_equals_whole(outputs, _):
    """A long hash in parts and the same message in one piece; the tool prints both."""
    parts = dumped(outputs[0], "long hash BD dump the out memory:--->:")
    same(parts, dumped(outputs[0], "one hash BD dump the out memory, cmp the stream mode:"), "digest")
    return "stream against whole"


def by_tool(_outputs, _work):
    return "by the tool"


TEXT = b"".join(b"line %d of a text that the referee compresses\n" % n for n in range(9000))
WINDOW = {"deflate": -15, "zlib": 15, "gzip": 31}


def unpacks(kind, blob):
    try:
        return zlib.decompress(blob, WINDOW[kind])
    except zlib.error as error:
        raise Mismatch(f"zlib says: {error}") from error


def benchmark_file(kind, size):
    """The file in which the benchmark keeps what it compressed: total, number of blocks, a length, the block."""
    def verify(_outputs, work):
        raw = Path(work, f"zip_{size}.{kind}").read_bytes()
        total, blocks, first = struct.unpack_from("<III", raw)
        if blocks != 1 or total != first or len(raw) != 12 + first:
            return ""
        if len(unpacks(kind, raw[12:])) != size:
            raise Mismatch("zlib gives another length")
        return "with zlib"
    return verify


def zip_tests(out):
    """`uadk_tool test --m zip`: the tool compares MD5 sums against zlib; the files are compared here."""
    for number, kind in enumerate(("deflate", "zlib", "gzip")):
        for inflate in ((), ("--inf",)):
            for shape, more in (("block sync", ()), ("block async", ("--mode", "1", "--thread", "2", "--qnum", "2")),
                                ("block sync SGL", ("--sgl",)), ("stream sync", ("--stream",)),
                                ("stream small pieces", ("--stream", "--blksize", "512", "--size", "8192"))):
                name = f"test zip {kind} {'inflate' if inflate else 'deflate'} {shape}"
                size = () if "--size" in more else ("--blksize", "8192", "--size", "81920")
                out.append(Case(name, "zip", [("uadk_tool", "test", "--m", "zip", "--alg", str(number), *inflate, *more,
                                               *size, "--verify")], verify=by_tool))
    for number, kind in ((1, "zlib"), (2, "gzip")):
        def packed(_outputs, work, kind=kind):
            if unpacks(kind, Path(work, "packed").read_bytes()) != TEXT:
                raise Mismatch("zlib gives another text")
            return "with zlib"

        def unpacked(_outputs, work):
            if Path(work, "unpacked").read_bytes() != TEXT:
                raise Mismatch("another text")
            return "by comparison"
        out.append(Case(f"test zip {kind} file, stream deflate", "zip",
                        [("uadk_tool", "test", "--m", "zip", "--alg", str(number), "--stream", "--in", "text", "--out",
                          "packed")], verify=packed))
        out.append(Case(f"test zip {kind} file, stream inflate", "zip",
                        [("uadk_tool", "test", "--m", "zip", "--alg", str(number), "--stream", "--inf", "--in",
                          f"text.{kind}", "--out", "unpacked")], verify=unpacked))


CIPHERS = (("AES-ECB", 0, (16, 24, 32)), ("AES-CBC", 1, (16, 24, 32)), ("AES-XTS", 2, (32, 64)),
           ("AES-OFB", 3, (16, 24, 32)), ("AES-CFB", 4, (16, 24, 32)), ("3DES-ECB", 5, (16, 24)),
           ("3DES-CBC", 6, (16, 24)), ("SM4-CBC", 7, (16,)), ("SM4-XTS", 8, (32,)), ("SM4-OFB", 9, (16,)),
           ("SM4-CFB", 10, (16,)), ("SM4-ECB", 11, (16,)), ("AES-CBC-CS1", 12, (16, 24, 32)),
           ("AES-CBC-CS2", 13, (16, 24, 32)), ("AES-CBC-CS3", 14, (16, 24, 32)))
DIGESTS = (("sm3", 0), ("md5", 1), ("sha1", 2), ("sha256", 3), ("sha224", 4), ("sha384", 5), ("sha512", 6),
           ("sha512_224", 7), ("sha512_256", 8))
MACS = (("AES-CMAC", 9, 16), ("AES-GMAC-128", 10, 16), ("AES-GMAC-192", 11, 24), ("AES-GMAC-256", 12, 32),
        ("AES-XCBC-MAC-96", 13, 16), ("AES-XCBC-PRF-128", 14, 16))
AEADS = (("AES-CCM", 0, (16, 24, 32)), ("AES-GCM", 1, (16, 24, 32)), ("AES-CBC-HMAC-SHA256", 2, (16,)))


def sec_tests(out, full):
    """`uadk_tool test --m sec`: one known-answer vector per algorithm, printed; the shorter list has every shape for
    the first key length only."""
    def command(what, number, key, mode, *more):
        return ("uadk_tool", "test", "--m", "sec", what, str(number), "--pktlen", "1024", "--keylen", str(key), "--times",
                "1", mode, *more)
    shapes = (("sync", "--sync", ("--multi", "1")), ("sync SGL", "--sync", ("--multi", "1", "--sglnum", "2")),
              ("async", "--async", ("--multi", "1")), ("async SGL", "--async", ("--multi", "1", "--sglnum", "2")),
              ("sync threads", "--sync", ("--multi", "4", "--ctxnum", "4")),
              ("async threads", "--async", ("--multi", "4", "--ctxnum", "4")))
    for group, kinds in (("--cipher", CIPHERS), ("--aead", AEADS)):
        for name, number, keys in kinds:
            for key in keys:
                for shape, mode, more in shapes if full or key == keys[0] else shapes[:2]:
                    both = [command(group, number, key, mode, "--optype", str(way), *more) for way in (0, 1)]
                    check = there_and_back if group == "--cipher" else sealed_and_opened
                    out.append(Case(f"test sec {name}-{8 * key} {shape}", "sec", both,
                                    verify=check if shape.startswith("sync") and "threads" not in shape else None))
    for name, number in DIGESTS:
        for shape, mode, more in shapes:
            out.append(Case(f"test sec {name} {shape}", "sec", [command("--digest", number, 16, mode, "--optype", "0",
                                                                        *more)],
                            verify=digest_by(name) if shape in ("sync", "sync SGL") else None))
            out.append(Case(f"test sec hmac-{name} {shape}", "sec", [command("--digest", number, 16, mode, "--optype",
                                                                             "1", *more)]))
        out.append(Case(f"test sec {name} stream", "sec", [command("--digest", number, 16, "--sync", "--optype", "0",
                                                                    "--multi", "1", "--stream")],
                        verify=stream_equals_whole))
    for name, number, key in MACS:
        for shape, mode, more in shapes[:4]:
            out.append(Case(f"test sec {name} {shape}", "sec", [command("--digest", number, key, mode, "--optype", "1",
                                                                        *more)]))


def hpre_options(name):
    """The operations of `--opt` that an HPRE algorithm has."""
    if name.startswith("rsa"):
        return (("keygen", 0), ("sign", 4), ("verify", 5))
    if name.startswith("ecdsa"):
        return (("sign", 4), ("verify", 5))
    if name == "sm2":
        return (("keygen", 0), ("encrypt", 2), ("decrypt", 3), ("sign", 4), ("verify", 5))
    return (("keygen", 0), ("compute", 1))


def engine_of(name):
    if re.match(r"zlib|gzip|deflate|lz", name):
        return "zip"
    return "hpre" if re.match(r"rsa|dh-|ecdh|ecdsa|sm2|x25519|x448", name) else "sec"


def is_digest(name):
    return re.match(r"sm3$|md5|sha", name) is not None


def is_aead(name):
    return re.search(r"ccm|gcm|hmac", name) is not None


def benchmarks(out, algorithms, full):
    """`uadk_tool benchmark`: throughput; AEAD decryption and ZIP decompression check what the runs before them left."""
    def case(name, algorithm, number, mode, size, more, **rest):
        threads = ("--thread", "2", "--ctxnum", "2")
        out.append(Case(name, engine_of(algorithm),
                        [("uadk_tool", "benchmark", "--mode", "sva", "--alg", algorithm, "--opt", str(number), mode,
                          "--pktlen", str(size), "--seconds", "1", *threads, *more)], limit=40, **rest))
    for algorithm in algorithms:
        engine = engine_of(algorithm)
        if engine == "hpre":
            for mode in ("--sync", "--async"):
                for operation, number in hpre_options(algorithm):
                    # the tool's peer is a point of secp256k1, its curve secp256r1
                    other_curve = algorithm == "ecdh-256" and operation == "compute"
                    case(f"benchmark {algorithm} {operation} {mode[2:]}", algorithm, number, mode, 1024, (),
                         setting=",hpre.options=any-point" if other_curve else "")
            if full:
                operation, number = hpre_options(algorithm)[-1]
                case(f"benchmark {algorithm} {operation} sync init2", algorithm, number, "--sync", 1024, ("--init2",),
                     setting=",hpre.options=any-point" if algorithm == "ecdh-256" else "")
            continue
        sizes = (64, 1024, 16384, 65536) if full else (1024,)
        if engine == "zip":
            sizes = (1024, 8192, 65536) if full else (4096,)
        forms = (("", ()), (" SGL", ("--sgl",)), (" init2", ("--init2",))) if full else (("", ()),)
        for size in sizes:
            for form, more in forms:
                for mode in ("--sync", "--async"):
                    if engine == "zip":
                        options = [("block deflate", 0), ("block inflate", 1)]
                        if mode == "--sync" and "SGL" not in form:
                            options += [("stream deflate", 2), ("stream inflate", 3)]
                    elif is_digest(algorithm):
                        options = [("plain", 0), ("hmac", 1)]
                    else:
                        options = [("encrypt", 0), ("decrypt", 1)]
                    for operation, number in options:
                        check, setting = None, ""
                        if engine == "zip" and number == 0 and algorithm in WINDOW:
                            check = benchmark_file(algorithm, size)
                        elif is_aead(algorithm) and number == 1:
                            check = by_tool
                        if is_aead(algorithm):
                            # the tool decrypts its own destination, additional data included, which it never puts there
                            setting = ",sec_copies_aad=1"
                        case(f"benchmark {algorithm} {operation} {size} {mode[2:]}{form}", algorithm, number, mode, size,
                             more, verify=check, setting=setting)


def cases(algorithms, full):
    """Every case, in the order in which they run: a later one may read a file that an earlier one wrote."""
    out = [
        Case("dfx version", "none", [("uadk_tool", "dfx", "--version")], trouble=r"\d+\.\d+"),
        Case("dfx dir", "none", [("uadk_tool", "dfx", "--dir")], trouble="exe path"),
        Case("dfx env", "none", [("uadk_tool", "dfx", "--env", "sec")], trouble="WD_CIPHER_CTX_NUM"),
        Case("dfx count", "none", [("uadk_tool", "dfx", "--count")], trouble="shared memory addr successful"),
        Case("dfx usage", "none", [("uadk_tool", "dfx", "--usage", "--device", "{zip}", "--alg_name", "zlib",
                                    "--op_type", "0")]),
    ]
    zip_tests(out)
    sec_tests(out, full)
    benchmarks(out, algorithms, full)
    return out


def prepare(work):
    """The files that the cases read."""
    Path(work, "text").write_bytes(TEXT)
    for kind in ("zlib", "gzip"):
        packer = zlib.compressobj(6, zlib.DEFLATED, WINDOW[kind])
        Path(work, f"text.{kind}").write_bytes(packer.compress(TEXT) + packer.flush())
