"""What ci/referee runs on a machine without SVA: UADK's older library (v1), and the newer one with memory pools."""
import re

import referee_cases as cases

# one of each family: key lengths differ in nothing that addresses have to do with
ALGORITHMS = ("zlib", "gzip", "deflate", "aes-128-ecb", "aes-256-cbc", "aes-128-ctr", "aes-256-xts", "3des-192-cbc",
              "sm4-128-cbc", "sm4-128-xts", "aes-128-ccm", "aes-256-gcm", "aes-128-cbc-sha256-hmac", "sm3", "md5",
              "sha1", "sha256", "sha512", "rsa-1024", "rsa-2048-crt", "dh-1024", "ecdh-256", "ecdsa-256", "x25519",
              "x448", "sm2")
POOLED = ("zlib", "aes-128-cbc", "aes-256-gcm", "sha256", "rsa-2048-crt", "dh-1024")

# (profile, case, kind, reason), as in referee_cases
EXCEPTIONS = [
    (r"kunpeng920-nosva", r"^v1 benchmark (deflate|ecdh|ecdsa|sm2|x25519|x448)", "absent",
     "V2 has neither raw deflate nor elliptic curves"),
    (r"", r"^v1 benchmark aes-128-ccm", "refused",
     "the tool fills the nonce with 0xaa and UADK v1 writes the low 16 bits of the length only, so B0 says another length"),
    (r"^(?!.*sec_copies_aad=1)", r"^v1 benchmark .*(gcm|hmac) decrypt", "tool",
     "the tool decrypts what it left in the destination, and takes for granted that the device copied the additional "
     "data there (`sec_copies_aad=1`)"),
    (r"", r"^v1 benchmark ecdh-256 compute", "tool", "the tool's public key is not on its curve"),
    (r"", r"^v1 benchmark sm2 decrypt", "tool", "the tool decrypts what is no ciphertext"),
]
cases.EXCEPTIONS.extend(EXCEPTIONS)


def changed(case, prefix, *arguments):
    """The same benchmark in another mode."""
    def rewrite(command):
        at = command.index("--mode")
        rest = list(command[at + 2:])
        if "--memory" in arguments:  # the tool takes the pool of one queue for all: see README.md, `ss_reach`
            for option in ("--thread", "--ctxnum"):
                rest[rest.index(option) + 1] = "1"
        return (*command[:at], *arguments, *rest)
    commands = [rewrite(command) for command in case.commands]
    return cases.Case(f"{prefix} {case.name}", case.engine, commands, case.limit, case.verify, case.trouble)


def without_sva(algorithms):
    """The cases; `algorithms` are those that the tool names."""
    old, new = [], []
    cases.benchmarks(old, [a for a in ALGORITHMS if a in algorithms], False)
    cases.benchmarks(new, [a for a in POOLED if a in algorithms], False)
    pools = [changed(c, f"pool ({name})", "--mode", "sva", "--memory", number) for c in new
             for name, number in (("manual", "1"), ("proxy", "2")) if not re.search(r"decrypt|inflate", c.name)]
    return [changed(c, "v1", "--mode", "nosva") for c in old] + pools
