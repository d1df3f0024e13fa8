/* One key and one cipher context across threads, forks and library contexts. Usage: share KEY.pem CONFIG. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                           \
    do {                                                                           \
        if (!(condition)) {                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);        \
            ERR_print_errors_fp(stderr);                                           \
            _exit(1);                                                              \
        }                                                                          \
    } while (0)

#define SIZE 8192
static EVP_PKEY *key;
static unsigned char expected_sig[512], key_bytes[32], iv[16], zeros[2 * SIZE], expected[2 * SIZE];
static size_t expected_len;

static void sign(OSSL_LIB_CTX *libctx, const char *query, EVP_PKEY *with, unsigned char *sig, size_t *len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    *len = 512;
    CHECK(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", libctx, query, with, NULL) == 1);
    CHECK(EVP_DigestSign(ctx, sig, len, (const unsigned char *)"message", 7) == 1);
    EVP_MD_CTX_free(ctx);
}

static void work(OSSL_LIB_CTX *libctx, EVP_PKEY *with, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        unsigned char sig[512], out[2 * SIZE];
        size_t len;
        int done;
        sign(libctx, NULL, with, sig, &len);
        CHECK(len == expected_len && memcmp(sig, expected_sig, len) == 0);
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(libctx, "AES-256-CTR", NULL);
        EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
        CHECK(cipher != NULL && EVP_EncryptInit_ex2(ctx, cipher, key_bytes, iv, NULL) == 1);
        CHECK(EVP_EncryptUpdate(ctx, out, &done, zeros, 2 * SIZE) == 1 && memcmp(out, expected, 2 * SIZE) == 0);
        EVP_CIPHER_CTX_free(ctx);
        EVP_CIPHER_free(cipher);
    }
    CHECK(ERR_peek_error() == 0);
}

static void *thread(void *unused)
{
    (void)unused;
    work(NULL, key, 10);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    FILE *file = fopen(argv[1], "r");
    key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
    CHECK(key != NULL);
    memset(key_bytes, 7, 32);
    memset(iv, 0xFF, 16);
    sign(NULL, "provider=default", key, expected_sig, &expected_len);
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", "provider=default");
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done;
    CHECK(EVP_EncryptInit_ex2(ctx, cipher, key_bytes, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(ctx, expected, &done, zeros, 2 * SIZE) == 1);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);

    pthread_t threads[6];
    for (int i = 0; i < 6; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, NULL) == 0);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);

    /* A context started before the fork goes on in both processes. */
    unsigned char out[2 * SIZE];
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    ctx = EVP_CIPHER_CTX_new();
    CHECK(EVP_EncryptInit_ex2(ctx, cipher, key_bytes, iv, NULL) == 1);
    CHECK(EVP_EncryptUpdate(ctx, out, &done, zeros, SIZE - 5) == 1);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            CHECK(EVP_EncryptUpdate(ctx, out + SIZE - 5, &done, zeros, SIZE + 5) == 1);
            CHECK(memcmp(out, expected, 2 * SIZE) == 0);
            work(NULL, key, 3);
            exit(0);
        }
        work(NULL, key, 3);
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    CHECK(EVP_EncryptUpdate(ctx, out + SIZE - 5, &done, zeros, SIZE + 5) == 1);
    CHECK(memcmp(out, expected, 2 * SIZE) == 0);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);

    /* Loaded and unloaded in contexts of their own, with keys of their own. */
    for (int i = 0; i < 3; i++) {
        OSSL_LIB_CTX *own = OSSL_LIB_CTX_new();
        CHECK(OSSL_LIB_CTX_load_config(own, argv[2]) == 1 && OSSL_PROVIDER_available(own, "warpdrive"));
        rewind(file);
        EVP_PKEY *copy = PEM_read_PrivateKey_ex(file, NULL, NULL, NULL, own, NULL);
        CHECK(copy != NULL);
        work(own, copy, 2);
        EVP_PKEY_free(copy);
        OSSL_LIB_CTX_free(own);
    }
    fclose(file);
    EVP_PKEY_free(key);
    puts("shared");
    return 0;
}
