/* Random walks over AES-CTR contexts: every call is made on the preferred implementation and on the default
 * provider's, and everything visible must agree. Usage: ctr SEED WALKS PROVIDER (who must be preferred). */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: walk %u step %u: %s\n", __FILE__, __LINE__, walk, step, #condition); \
            ERR_print_errors_fp(stderr);                                                   \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

static uint64_t state;
static unsigned walk, step;

static uint32_t next(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 20) % below;
}

static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)next(256);
}

static size_t some_length(void)
{
    switch (next(8)) {
    case 0: return 0;
    case 1: return next(16);
    case 2: return 16 * next(20);
    case 3: return 4096;
    case 4: return 4096 + next(70000);
    case 5: return 16 * (128 + next(1000));
    default: return next(600);
    }
}

#define MAX 80000
static unsigned char in[MAX + 64], out[2][MAX + 64];

static void same_state(EVP_CIPHER_CTX *a, EVP_CIPHER_CTX *b)
{
    unsigned char iv[2][16];
    unsigned char *at = NULL;
    CHECK(EVP_CIPHER_CTX_get_updated_iv(a, iv[0], 16) == EVP_CIPHER_CTX_get_updated_iv(b, iv[1], 16));
    CHECK(memcmp(iv[0], iv[1], 16) == 0);
    OSSL_PARAM ask[2] = { OSSL_PARAM_construct_octet_ptr(OSSL_CIPHER_PARAM_UPDATED_IV, (void **)&at, 0), OSSL_PARAM_END };
    CHECK(EVP_CIPHER_CTX_get_params(a, ask) == 1 && at != NULL && memcmp(at, iv[1], 16) == 0);
    CHECK(EVP_CIPHER_CTX_get_original_iv(a, iv[0], 16) == EVP_CIPHER_CTX_get_original_iv(b, iv[1], 16));
    CHECK(memcmp(iv[0], iv[1], 16) == 0);
    CHECK(EVP_CIPHER_CTX_get_num(a) == EVP_CIPHER_CTX_get_num(b));
    CHECK(EVP_CIPHER_CTX_get_key_length(a) == EVP_CIPHER_CTX_get_key_length(b));
    CHECK(EVP_CIPHER_CTX_get_iv_length(a) == EVP_CIPHER_CTX_get_iv_length(b));
}

static void same_error(int a, int b, unsigned long ea)
{
    unsigned long eb = ERR_peek_last_error();
    CHECK(a == b && ERR_GET_LIB(ea) == ERR_GET_LIB(eb) && ERR_GET_REASON(ea) == ERR_GET_REASON(eb));
    ERR_clear_error();
}

int main(int argc, char **argv)
{
    static const char *names[] = { "AES-128-CTR", "AES-192-CTR", "AES-256-CTR" };
    unsigned walks;
    if (argc != 4)
        return 2;
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ull;
    walks = (unsigned)atoi(argv[2]);
    for (walk = 0; walk < walks; walk++) {
        const char *name = names[next(3)];
        EVP_CIPHER *ours = EVP_CIPHER_fetch(NULL, name, NULL);
        EVP_CIPHER *theirs = EVP_CIPHER_fetch(NULL, name, "provider=default");
        EVP_CIPHER_CTX *c[2] = { EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_new() };
        unsigned char key[32], iv[16];
        int enc = (int)next(2), len[2], r[2];
        unsigned steps = 1 + next(30);

        step = 0;
        CHECK(ours != NULL && theirs != NULL);
        CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_CIPHER_get0_provider(ours)), argv[3]) == 0);
        CHECK(EVP_CIPHER_get_mode(ours) == EVP_CIPHER_get_mode(theirs));
        CHECK(EVP_CIPHER_get_flags(ours) == EVP_CIPHER_get_flags(theirs));
        CHECK(EVP_CIPHER_get_block_size(ours) == EVP_CIPHER_get_block_size(theirs));
        CHECK(EVP_CIPHER_get_nid(ours) == EVP_CIPHER_get_nid(theirs));
        fill(key, 32);
        fill(iv, 16);
        if (next(3) == 0)
            memset(iv + 4 * next(4), 0xFF, 4), memset(iv + 12, 0xFF, 3);
        /* Without a key nothing works, and says so. */
        r[0] = EVP_CipherInit_ex2(c[0], ours, NULL, iv, enc, NULL);
        r[1] = EVP_CipherInit_ex2(c[1], theirs, NULL, iv, enc, NULL);
        CHECK(r[0] == 1 && r[1] == 1);
        ERR_clear_error();
        r[0] = EVP_CipherUpdate(c[0], out[0], &len[0], in, 16);
        unsigned long e = ERR_peek_last_error();
        ERR_clear_error();
        r[1] = EVP_CipherUpdate(c[1], out[1], &len[1], in, 16);
        same_error(r[0], r[1], e);
        for (int i = 0; i < 2; i++)
            CHECK(EVP_CipherInit_ex2(c[i], NULL, key, NULL, enc, NULL) == 1);
        for (step = 1; step <= steps; step++) {
            size_t n = some_length(), skew = next(20);
            switch (next(12)) {
            case 0: /* copied in mid-stream */
                for (int i = 0; i < 2; i++) {
                    EVP_CIPHER_CTX *copy = EVP_CIPHER_CTX_new();
                    CHECK(EVP_CIPHER_CTX_copy(copy, c[i]) == 1);
                    EVP_CIPHER_CTX_free(c[i]);
                    c[i] = copy;
                }
                break;
            case 1: /* started over with a key, an IV, both, or neither */
                {
                    unsigned what = next(4);
                    if (what & 1)
                        fill(key, 32);
                    if (what & 2)
                        fill(iv, 16);
                    enc = (int)next(2);
                    for (int i = 0; i < 2; i++)
                        CHECK(EVP_CipherInit_ex2(c[i], NULL, what & 1 ? key : NULL, what & 2 ? iv : NULL, enc, NULL) == 1);
                }
                break;
            case 2: /* final in between */
                for (int i = 0; i < 2; i++)
                    CHECK((r[i] = EVP_CipherFinal_ex(c[i], out[i], &len[i])) == 1 && len[i] == 0);
                break;
            case 3: /* the "num" parameter, good and bad */
                {
                    unsigned num = next(3) ? 0 : 16 + next(100);
                    OSSL_PARAM set[2] = { OSSL_PARAM_construct_uint(OSSL_CIPHER_PARAM_NUM, &num), OSSL_PARAM_END };
                    if (num == 0) {
                        for (int i = 0; i < 2; i++)
                            CHECK(EVP_CIPHER_CTX_set_params(c[i], set) == 1);
                    }
                }
                break;
            case 4: /* in place */
            case 5:
                fill(in, n);
                for (int i = 0; i < 2; i++) {
                    memcpy(out[i] + skew, in, n);
                    CHECK(EVP_CipherUpdate(c[i], out[i] + skew, &len[i], out[i] + skew, (int)n) == 1);
                    CHECK(len[i] == (int)n);
                }
                CHECK(memcmp(out[0] + skew, out[1] + skew, n) == 0);
                break;
            case 6: /* one call of the one-shot function */
                fill(in, n);
                for (int i = 0; i < 2; i++)
                    CHECK(EVP_Cipher(c[i], out[i] + skew, in, (unsigned)n) == (int)n);
                CHECK(memcmp(out[0] + skew, out[1] + skew, n) == 0);
                break;
            case 7: /* overlapping, output first: read before written on both sides */
                if (n > 64) {
                    n = n < 4096 ? n : 4096;
                    fill(in, n);
                    memcpy(out[0] + 32, in, n);
                    CHECK(EVP_CipherUpdate(c[0], out[0], &len[0], out[0] + 32, (int)n) == 1);
                    CHECK(EVP_CipherUpdate(c[1], out[1], &len[1], in, (int)n) == 1);
                    CHECK(memcmp(out[0], out[1], n) == 0);
                }
                break;
            default:
                fill(in, n);
                memset(out, 0xEE, sizeof(out));
                for (int i = 0; i < 2; i++) {
                    CHECK(EVP_CipherUpdate(c[i], out[i] + skew, &len[i], in, (int)n) == 1);
                    CHECK(len[i] == (int)n);
                }
                CHECK(memcmp(out[0], out[1], sizeof(out[0])) == 0);
            }
            same_state(c[0], c[1]);
            CHECK(ERR_peek_error() == 0);
        }
        for (int i = 0; i < 2; i++) {
            CHECK(EVP_CipherFinal_ex(c[i], out[i], &len[i]) == 1);
            EVP_CIPHER_CTX_free(c[i]);
        }
        EVP_CIPHER_free(ours);
        EVP_CIPHER_free(theirs);
    }
    printf("%u walks\n", walks);
    return 0;
}
