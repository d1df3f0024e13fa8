/* Mixes gz* files with deflate and inflate streams, byte-wise output, dictionaries and checksums in one program.
 * Prints what it found; the same program unaided must print the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); return 1; } } while (0)
enum { SIZE = 600000 };
static unsigned char data[SIZE], packed[SIZE + 1000], back[SIZE];

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (int i = 0; i < SIZE; i++) data[i] = (unsigned char)((i * 2654435761u >> 19) % 61 + 32);

    gzFile file = gzopen(argv[1], "wb6");
    CHECK(file);
    CHECK(gzwrite(file, data, SIZE / 2) == SIZE / 2);

    z_stream c = {0};                       /* a stream lives while a file is open */
    CHECK(deflateInit(&c, Z_DEFAULT_COMPRESSION) == Z_OK);
    c.next_in = data; c.avail_in = SIZE; c.next_out = packed;
    int calls = 0, status = Z_OK;
    while (status != Z_STREAM_END) {        /* odd output space, one byte now and then */
        c.avail_out = calls++ % 5 ? 4099 : 1;
        status = deflate(&c, Z_FINISH);
        CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
    }
    uLong length = c.total_out;
    CHECK(c.total_in == SIZE && length == (uLong)(c.next_out - packed));
    uLong sum = adler32(adler32(0, 0, 0), data, SIZE);
    CHECK(c.adler == sum);
    CHECK(deflateEnd(&c) == Z_OK);
    CHECK(length < SIZE);

    CHECK(gzprintf(file, "%s %d\n", "formatted", 42) == 13);
    CHECK(gzputc(file, 'x') == 'x' && gzputs(file, "yz\n") == 3);
    CHECK(gzflush(file, Z_SYNC_FLUSH) == Z_OK);
    CHECK(gzclose(file) == Z_OK);

    z_stream d = {0};
    CHECK(inflateInit(&d) == Z_OK);
    d.next_out = back; d.next_in = packed; status = Z_OK;
    unsigned long given = 0;
    while (status != Z_STREAM_END) {        /* one byte in, a few bytes out, now and then */
        unsigned step = given % 3 ? 9001 : 1;
        if (step > length - given) step = (unsigned)(length - given);
        d.avail_in = step; given += step;
        do {
            d.avail_out = 7013;
            if (d.avail_out > SIZE - d.total_out) d.avail_out = (unsigned)(SIZE - d.total_out);
            status = inflate(&d, Z_NO_FLUSH);
            CHECK(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
        } while (status != Z_STREAM_END && (d.avail_in || (!d.avail_out && d.total_out < SIZE)));
        CHECK(status == Z_STREAM_END || given < length);
    }
    CHECK(d.total_out == SIZE && d.total_in == length && d.avail_in == 0 && d.adler == sum);
    CHECK(memcmp(data, back, SIZE) == 0);
    CHECK(inflateEnd(&d) == Z_OK);

    const char *word = "a preset dictionary with words";
    z_stream e = {0};
    CHECK(deflateInit(&e, 9) == Z_OK);
    CHECK(deflateSetDictionary(&e, (const Bytef *)word, 30) == Z_OK);
    e.next_in = data; e.avail_in = 50000; e.next_out = packed; e.avail_out = sizeof packed;
    CHECK(deflate(&e, Z_FINISH) == Z_STREAM_END);
    z_stream f = {0};
    CHECK(inflateInit(&f) == Z_OK);
    f.next_in = packed; f.avail_in = (uInt)e.total_out; f.next_out = back; f.avail_out = SIZE;
    CHECK(inflate(&f, Z_FINISH) == Z_NEED_DICT);
    CHECK(inflateSetDictionary(&f, (const Bytef *)word, 30) == Z_OK);
    CHECK(inflate(&f, Z_FINISH) == Z_STREAM_END && f.total_out == 50000 && !memcmp(back, data, 50000));
    CHECK(deflateEnd(&e) == Z_OK && inflateEnd(&f) == Z_OK);

    uLongf bound = compressBound(SIZE), out = SIZE;
    unsigned char *one = malloc(bound);
    CHECK(one && compress(one, &bound, data, SIZE) == Z_OK);
    CHECK(uncompress(back, &out, one, bound) == Z_OK && out == SIZE && !memcmp(back, data, SIZE));
    out = SIZE - 1;
    CHECK(uncompress(back, &out, one, bound) == Z_BUF_ERROR);
    free(one);

    file = gzopen(argv[1], "rb");
    CHECK(file && gzbuffer(file, 10000) == 0);
    CHECK(gzread(file, back, SIZE / 2) == SIZE / 2 && !memcmp(back, data, SIZE / 2));
    char line[64];
    CHECK(gzgets(file, line, sizeof line) && !strcmp(line, "formatted 42\n"));
    CHECK(gzgetc(file) == 'x' && gzungetc('w', file) == 'w' && gzgetc(file) == 'w');
    CHECK(gztell(file) == SIZE / 2 + 14);
    CHECK(gzseek(file, 100, SEEK_SET) == 100 && gzgetc(file) == data[100]);
    CHECK(gzseek(file, SIZE / 2 + 14, SEEK_SET) == SIZE / 2 + 14);
    CHECK(gzread(file, line, sizeof line) == 3 && !memcmp(line, "yz\n", 3) && gzeof(file));
    CHECK(gzclose(file) == Z_OK);
    printf("adler %08lx crc %08lx\n", sum, crc32(crc32(0, 0, 0), data, SIZE));
    return 0;
}
