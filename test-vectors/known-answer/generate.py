"""Prints the computed constants of core/src/engine/known_answer/vectors.rs (../README.md). The same on every run."""
import hashlib
import zlib


def is_prime(n):
    """Miller-Rabin to forty bases."""
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for a in range(2, 42):
        x = pow(a, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(label):
    n = int.from_bytes(hashlib.sha512(label.encode()).digest(), "big") | 3 << 510 | 1
    while n % 65537 == 1 or any(n % q == 0 for q in range(3, 2000, 2)) or not is_prime(n):
        n += 2
    return n


def sample():
    out, state = bytearray(), 1
    for n in range(2048):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        noise = state >> 16
        if n < 1024:
            out.append(b"etaoinshrdlu"[noise % 12])
        elif n < 1920:
            out.append(b"queue doorbell phase lease "[n % 27])
        else:
            out.append(noise & 255)
    return bytes(out)


def deflate(data, level, strategy, flush):
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return stream.compress(data) + stream.flush(flush)


def constant(name, data):
    digits = data.hex()
    lines = "\\\n     ".join(digits[at:at + 108] for at in range(0, len(digits), 108))
    print(f'pub(super) const {name}: [u8; {len(data)}] = hex(\n    b"{lines}",\n);')


data = sample()
payload = (deflate(data[:1024], 9, zlib.Z_DEFAULT_STRATEGY, zlib.Z_FULL_FLUSH)
           + deflate(data[1024:1920], 9, zlib.Z_FIXED, zlib.Z_FULL_FLUSH)
           + deflate(data[1920:], 0, zlib.Z_DEFAULT_STRATEGY, zlib.Z_FINISH))
assert zlib.decompress(payload, -15) == data
constant("PAYLOAD", payload)
print(f"ADLER32 {zlib.adler32(data):#x}, CRC32 {zlib.crc32(data):#x}")

p, q = sorted((prime("WarpDrive known answer, p"), prime("WarpDrive known answer, q")), reverse=True)
n = p * q
assert n.bit_length() == 1024
d = pow(65537, -1, (p - 1) * (q - 1))
given = int.from_bytes(hashlib.sha512(b"WarpDrive known answer, x").digest() * 2, "big") % n
for name, value, size in [("MODULUS", n, 128), ("P", p, 64), ("Q", q, 64), ("DP", d % (p - 1), 64), ("DQ", d % (q - 1), 64),
                          ("QINV", pow(q, -1, p), 64), ("INPUT", given, 128), ("RESULT", pow(given, d, n), 128)]:
    constant(name, value.to_bytes(size, "big"))
