#!/bin/sh
# Links the static library again as a drop-in libz.so.1: zlib's SONAME, zlib's symbol versions, nothing else
# exported. Usage: relink.sh STATICLIB OUTPUT [CC]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
archive=$1
output=$2
cc=${3:-${CC:-cc}}
ld=$($cc -print-prog-name=ld)
objcopy=$($cc -print-prog-name=objcopy)

mkdir -p "$(dirname "$output")"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Unversioned functions would need an anonymous version node with "local: *", which cannot stand beside named
# ones. So everything that is not API is made local first, and the script only gives versions.
grep -o '[A-Za-z0-9_]*;' "$here/zlib.map" | tr -d ';' | cat "$here/unversioned.txt" - > "$work/keep.txt"
"$ld" -r --whole-archive "$archive" -o "$work/all.o"
"$objcopy" --keep-global-symbols="$work/keep.txt" "$work/all.o"

"$cc" -shared -o "$output" "$work/all.o" \
    -Wl,-soname,libz.so.1 -Wl,--version-script="$here/zlib.map" -Wl,--exclude-libs,ALL \
    -Wl,-z,nodelete -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--no-undefined \
    -lgcc_s -lpthread -ldl -lm -lc
