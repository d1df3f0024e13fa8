/* Writes a picture as PNG with libpng, at several levels, reads it back, and prints a sum of the pixels. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); return 1; } } while (0)
enum { WIDTH = 640, HEIGHT = 400 };
static unsigned char pixels[HEIGHT][WIDTH * 3], back[HEIGHT][WIDTH * 3];

static int write_picture(const char *path, int level)
{
    FILE *file = fopen(path, "wb");
    CHECK(file);
    png_structp out = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(out);
    static png_bytep rows[HEIGHT];
    for (int y = 0; y < HEIGHT; y++) rows[y] = pixels[y];
    if (setjmp(png_jmpbuf(out))) return 1;
    png_init_io(out, file);
    png_set_compression_level(out, level);
    png_set_IHDR(out, info, WIDTH, HEIGHT, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, 0, 0);
    png_set_rows(out, info, rows);
    png_write_png(out, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&out, &info);
    return fclose(file);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH * 3; x++)
            pixels[y][x] = (unsigned char)(x * y / 97 + ((unsigned)(x * 31 + y) * 2654435761u >> 29));
    for (int level = 0; level <= 9; level += 3) {
        png_image image;
        CHECK(write_picture(argv[1], level) == 0);
        memset(&image, 0, sizeof image);
        image.version = PNG_IMAGE_VERSION;
        CHECK(png_image_begin_read_from_file(&image, argv[1]));
        CHECK(image.width == WIDTH && image.height == HEIGHT);
        image.format = PNG_FORMAT_RGB;
        CHECK(png_image_finish_read(&image, NULL, back, 0, NULL));
        CHECK(memcmp(pixels, back, sizeof pixels) == 0);
    }
    printf("%lx\n", crc32(0, &back[0][0], sizeof back));
    return 0;
}
