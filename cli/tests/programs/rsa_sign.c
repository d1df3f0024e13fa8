/* Signs and verifies with a PEM key through EVP, as any program would. Usage: rsa_sign KEY.pem */
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "line %d: %s\n", __LINE__, #x); return 1; } } while (0)

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    FILE *file = fopen(argv[1], "r");
    CHECK(file);
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    CHECK(key && fclose(file) == 0);
    const unsigned char message[] = "message";
    unsigned char signature[512];
    size_t length = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key, NULL) == 1);
    CHECK(EVP_DigestSign(ctx, signature, &length, message, sizeof message) == 1);
    EVP_MD_CTX_free(ctx);
    ctx = EVP_MD_CTX_new();
    CHECK(ctx && EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, "provider=default", key, NULL) == 1);
    CHECK(EVP_DigestVerify(ctx, signature, length, message, sizeof message) == 1);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return 0;
}
