/* The same work with one key held by the preferred provider and by the default one; everything visible must
 * agree. Usage: keys KEY.pem PROVIDER [whole|plain|broken]: who must be preferred; whether the key comes as it
 * is, without its CRT values, or with a wrong one. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *what = "start";
#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, what, #condition);      \
            ERR_print_errors_fp(stderr);                                                   \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

static EVP_PKEY *ours, *theirs, *ours_public;
static size_t size;

/* A key of the given parts, built from parameters in the provider that `query` picks. */
static EVP_PKEY *build(EVP_PKEY *from, int selection, const char *query)
{
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", query);
    CHECK(EVP_PKEY_todata(from, selection, &params) == 1);
    CHECK(EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, selection, params) == 1);
    OSSL_PARAM_free(params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

/* The same with its numbers thinned out or spoilt. */
static EVP_PKEY *build_odd(EVP_PKEY *from, const char *form, const char *query)
{
    static const char *names[] = { "n", "e", "d", "rsa-factor1", "rsa-factor2", "rsa-exponent1", "rsa-exponent2", "rsa-coefficient1" };
    BIGNUM *numbers[8] = { NULL };
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", query);
    for (int i = 0; i < (strcmp(form, "plain") == 0 ? 3 : 8); i++) {
        CHECK(EVP_PKEY_get_bn_param(from, names[i], &numbers[i]) == 1);
        if (i == 5)
            BN_add_word(numbers[i], 2);
        CHECK(OSSL_PARAM_BLD_push_BN(builder, names[i], numbers[i]) == 1);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    CHECK(EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) == 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (int i = 0; i < 8; i++)
        BN_free(numbers[i]);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void compare_parameters(void)
{
    static const char *numbers[] = { "n", "e", "d", "rsa-factor1", "rsa-factor2", "rsa-factor3", "rsa-exponent1",
        "rsa-exponent2", "rsa-exponent3", "rsa-coefficient1", "rsa-coefficient2" };
    static const char *ints[] = { "bits", "security-bits", "max-size" };
    char text[2][50];
    size_t len[2];
    what = "parameters";
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        BIGNUM *a = NULL, *b = NULL;
        CHECK(EVP_PKEY_get_bn_param(ours, numbers[i], &a) == EVP_PKEY_get_bn_param(theirs, numbers[i], &b));
        CHECK((a == NULL) == (b == NULL) && (a == NULL || BN_cmp(a, b) == 0));
        BN_free(a);
        BN_free(b);
    }
    for (size_t i = 0; i < 3; i++) {
        int a = -1, b = -1;
        CHECK(EVP_PKEY_get_int_param(ours, ints[i], &a) == 1 && EVP_PKEY_get_int_param(theirs, ints[i], &b) == 1);
        CHECK(a == b);
    }
    CHECK(EVP_PKEY_get_utf8_string_param(ours, "default-digest", text[0], 50, &len[0]) == 1);
    CHECK(EVP_PKEY_get_utf8_string_param(theirs, "default-digest", text[1], 50, &len[1]) == 1);
    CHECK(strcmp(text[0], text[1]) == 0 && len[0] == len[1]);
    ERR_clear_error();
}

static void compare_identity(void)
{
    what = "identity";
    CHECK(EVP_PKEY_eq(ours, theirs) == 1 && EVP_PKEY_eq(theirs, ours) == 1 && EVP_PKEY_eq(ours, ours_public) == 1);
    EVP_PKEY *copy = EVP_PKEY_dup(ours);
    CHECK(copy != NULL && EVP_PKEY_eq(copy, theirs) == 1);
    EVP_PKEY_free(copy);
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    CHECK(other != NULL && EVP_PKEY_eq(ours, other) == 0 && EVP_PKEY_eq(theirs, other) == 0);
    EVP_PKEY_free(other);
    unsigned char *der[2] = { NULL, NULL };
    int len[2] = { i2d_PrivateKey(ours, &der[0]), i2d_PrivateKey(theirs, &der[1]) };
    /* Without CRT values there is no such encoding, on either side. */
    CHECK(len[0] == len[1] && (len[0] <= 0 || memcmp(der[0], der[1], (size_t)len[0]) == 0));
    ERR_clear_error();
    OPENSSL_free(der[0]);
    OPENSSL_free(der[1]);
    EVP_PKEY *both[2] = { ours, theirs };
    int verdicts[2][4];
    for (int i = 0; i < 2; i++) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, both[i], i ? "provider=default" : NULL);
        verdicts[i][0] = EVP_PKEY_check(ctx);
        verdicts[i][1] = EVP_PKEY_public_check(ctx);
        verdicts[i][2] = EVP_PKEY_private_check(ctx);
        verdicts[i][3] = EVP_PKEY_pairwise_check(ctx);
        EVP_PKEY_CTX_free(ctx);
    }
    CHECK(memcmp(verdicts[0], verdicts[1], sizeof(verdicts[0])) == 0);
    ERR_clear_error();
    /* Legacy access and encryption reach the key by export. */
    unsigned char cipher[1024], plain[1024];
    size_t clen = sizeof(cipher), plen = sizeof(plain);
    EVP_PKEY_CTX *e = EVP_PKEY_CTX_new_from_pkey(NULL, ours, NULL);
    CHECK(EVP_PKEY_encrypt_init(e) == 1 && EVP_PKEY_encrypt(e, cipher, &clen, (const unsigned char *)"secret", 6) == 1);
    CHECK(EVP_PKEY_decrypt_init(e) == 1 && EVP_PKEY_decrypt(e, plain, &plen, cipher, clen) == 1);
    CHECK(plen == 6 && memcmp(plain, "secret", 6) == 0);
    EVP_PKEY_CTX_free(e);
    CHECK(EVP_PKEY_get0_RSA(ours) != NULL);
}

/* Digest-and-sign in pieces, with the context copied on the way. `setup` sets padding. */
static int digest_sign(EVP_PKEY *key, const char *query, const char *md, int pad, int salt, unsigned char *sig, size_t *len,
    unsigned char *aid, size_t *aid_len)
{
    unsigned char data[3000];
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new(), *copy = EVP_MD_CTX_new();
    int done = 0;
    memset(data, 0x5A, sizeof(data));
    if (EVP_DigestSignInit_ex(ctx, &pctx, md, NULL, query, key, NULL) == 1
        && EVP_PKEY_CTX_set_rsa_padding(pctx, pad) == 1
        && (pad != RSA_PKCS1_PSS_PADDING || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) == 1)) {
        OSSL_PARAM ask[2] = { OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, aid, 128), OSSL_PARAM_END };
        *aid_len = EVP_PKEY_CTX_get_params(pctx, ask) == 1 ? ask[0].return_size : 0;
        ERR_clear_error();
        done = EVP_DigestSignUpdate(ctx, data, 1000) == 1 && EVP_MD_CTX_copy_ex(copy, ctx) == 1
            && EVP_DigestSignUpdate(copy, data, 2000) == 1;
        size_t need = 0;
        done = done && EVP_DigestSignFinal(copy, NULL, &need) == 1 && need == size;
        *len = size;
        done = done && EVP_DigestSignFinal(copy, sig, len) == 1;
    }
    EVP_MD_CTX_free(ctx);
    EVP_MD_CTX_free(copy);
    return done;
}

static int digest_verify(EVP_PKEY *key, const char *query, const char *md, int pad, int salt, const unsigned char *sig, size_t len)
{
    unsigned char data[3000];
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    memset(data, 0x5A, sizeof(data));
    int done = EVP_DigestVerifyInit_ex(ctx, &pctx, md, NULL, query, key, NULL) == 1
        && EVP_PKEY_CTX_set_rsa_padding(pctx, pad) == 1
        && (pad != RSA_PKCS1_PSS_PADDING || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) == 1)
        && EVP_DigestVerify(ctx, sig, len, data, sizeof(data)) == 1;
    EVP_MD_CTX_free(ctx);
    return done;
}

static void compare_signatures(void)
{
    static const char *mds[] = { "MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "SHA512-224", "SHA512-256",
        "SHA3-224", "SHA3-256", "SHA3-384", "SHA3-512", "RIPEMD160", "MD5-SHA1" };
    static const int salts[] = { -1, -2, -3, 0, 11 };
    unsigned char sig[2][1024], aid[2][128];
    size_t len[2], aid_len[2];
    for (size_t m = 0; m < sizeof(mds) / sizeof(*mds); m++) {
        what = mds[m];
        ERR_clear_error();
        int a = digest_sign(ours, NULL, mds[m], RSA_PKCS1_PADDING, 0, sig[0], &len[0], aid[0], &aid_len[0]);
        unsigned long ea = ERR_peek_last_error();
        ERR_clear_error();
        int b = digest_sign(theirs, "provider=default", mds[m], RSA_PKCS1_PADDING, 0, sig[1], &len[1], aid[1], &aid_len[1]);
        CHECK(a == b && ea == ERR_peek_last_error());
        CHECK(!a || (len[0] == len[1] && memcmp(sig[0], sig[1], len[0]) == 0));
        CHECK(aid_len[0] == aid_len[1] && memcmp(aid[0], aid[1], aid_len[0]) == 0);
        ERR_clear_error();
        if (a) {
            CHECK(digest_verify(ours, NULL, mds[m], RSA_PKCS1_PADDING, 0, sig[1], len[1]));
            CHECK(ERR_peek_error() == 0);
            sig[1][len[1] / 2] ^= 1;
            CHECK(!digest_verify(ours, NULL, mds[m], RSA_PKCS1_PADDING, 0, sig[1], len[1]));
            ea = ERR_peek_last_error();
            ERR_clear_error();
            CHECK(!digest_verify(theirs, "provider=default", mds[m], RSA_PKCS1_PADDING, 0, sig[1], len[1]));
            CHECK(ERR_peek_last_error() == ea);
            ERR_clear_error();
            CHECK(!digest_verify(ours, NULL, mds[m], RSA_PKCS1_PADDING, 0, sig[0], len[0] - 1));
            ea = ERR_peek_last_error();
            ERR_clear_error();
            CHECK(!digest_verify(theirs, "provider=default", mds[m], RSA_PKCS1_PADDING, 0, sig[0], len[0] - 1));
            CHECK(ERR_peek_last_error() == ea);
            ERR_clear_error();
        }
        for (size_t s = 0; s < sizeof(salts) / sizeof(*salts); s++) {
            a = digest_sign(ours, NULL, mds[m], RSA_PKCS1_PSS_PADDING, salts[s], sig[0], &len[0], aid[0], &aid_len[0]);
            ea = ERR_peek_last_error();
            ERR_clear_error();
            b = digest_sign(theirs, "provider=default", mds[m], RSA_PKCS1_PSS_PADDING, salts[s], sig[1], &len[1], aid[1], &aid_len[1]);
            CHECK(a == b && ea == ERR_peek_last_error());
            CHECK(aid_len[0] == aid_len[1] && memcmp(aid[0], aid[1], aid_len[0]) == 0);
            ERR_clear_error();
            if (!a)
                continue;
            for (size_t v = 0; v < sizeof(salts) / sizeof(*salts); v++) {
                int good = digest_verify(theirs, "provider=default", mds[m], RSA_PKCS1_PSS_PADDING, salts[v], sig[0], len[0]);
                unsigned long eb = ERR_peek_last_error();
                ERR_clear_error();
                CHECK(salts[v] != salts[s] || good);
                CHECK(digest_verify(ours, NULL, mds[m], RSA_PKCS1_PSS_PADDING, salts[v], sig[1], len[1]) == good);
                CHECK(ERR_peek_last_error() == eb);
                ERR_clear_error();
            }
        }
    }
}

/* One plain signature; returns the last error, which must be the same on both sides. */
static unsigned long plain(EVP_PKEY *key, const char *query, const char *md, int pad, size_t tbs_len, int *verdict,
    unsigned char *sig, size_t *len, size_t room)
{
    unsigned char tbs[1024], back[1024];
    size_t back_len = sizeof(back);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, query);
    memset(tbs, 0x31, sizeof(tbs));
    ERR_clear_error();
    *len = room;
    *verdict = EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, pad) == 1
        && (md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) == 1)
        && EVP_PKEY_sign(ctx, sig, len, tbs, tbs_len) == 1;
    unsigned long error = ERR_peek_last_error();
    if (*verdict) {
        CHECK(error == 0);
        CHECK(EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, pad) == 1);
        CHECK(md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) == 1);
        int good = EVP_PKEY_verify(ctx, sig, *len, tbs, tbs_len);
        CHECK(good == 1 || tbs_len == 0);
        CHECK(EVP_PKEY_verify(ctx, sig, *len, tbs + 1, tbs_len == 0 ? 0 : tbs_len - 1) != 1);
        CHECK(EVP_PKEY_verify_recover_init(ctx) == 1);
        if (pad != RSA_PKCS1_PSS_PADDING) {
            CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, pad) == 1);
            CHECK(md == NULL || EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)) == 1);
            CHECK(EVP_PKEY_verify_recover(ctx, NULL, &back_len, sig, *len) == 1 && back_len == size);
            back_len = sizeof(back);
            int got = EVP_PKEY_verify_recover(ctx, back, &back_len, sig, *len);
            CHECK(got != 1 || (back_len == tbs_len && memcmp(back, tbs, tbs_len) == 0));
        }
        ERR_clear_error();
    }
    EVP_PKEY_CTX_free(ctx);
    return error;
}

static void compare_plain(void)
{
    struct { const char *md; int pad; size_t len; } cases[] = {
        { NULL, RSA_PKCS1_PADDING, 0 }, { NULL, RSA_PKCS1_PADDING, 1 }, { NULL, RSA_PKCS1_PADDING, 36 },
        { NULL, RSA_PKCS1_PADDING, size - 11 }, { NULL, RSA_PKCS1_PADDING, size - 10 },
        { NULL, RSA_PKCS1_PADDING, size }, { NULL, RSA_NO_PADDING, size }, { NULL, RSA_NO_PADDING, size - 1 },
        { NULL, RSA_X931_PADDING, 20 }, { NULL, RSA_PKCS1_PSS_PADDING, 20 }, { NULL, RSA_PKCS1_OAEP_PADDING, 20 },
        { "SHA256", RSA_PKCS1_PADDING, 32 }, { "SHA256", RSA_PKCS1_PADDING, 31 }, { "SHA256", RSA_NO_PADDING, 32 },
        { "SHA256", RSA_PKCS1_PSS_PADDING, 32 }, { "SHA256", RSA_PKCS1_PSS_PADDING, 33 },
        { "SHA256", RSA_X931_PADDING, 32 }, { "SHA1", RSA_X931_PADDING, 20 }, { "MD5-SHA1", RSA_PKCS1_PADDING, 36 },
        { "MD5", RSA_X931_PADDING, 16 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int small = 0; small < 2; small++) {
            unsigned char sig[2][1024];
            size_t len[2];
            int verdict[2];
            char name[80];
            snprintf(name, sizeof(name), "plain case %zu, %s buffer", i, small ? "small" : "large");
            what = name;
            unsigned long a = plain(ours, NULL, cases[i].md, cases[i].pad, cases[i].len, &verdict[0], sig[0], &len[0], size - (size_t)small);
            unsigned long b = plain(theirs, "provider=default", cases[i].md, cases[i].pad, cases[i].len, &verdict[1], sig[1], &len[1], size - (size_t)small);
            if (verdict[0] != verdict[1] || a != b)
                fprintf(stderr, "%s: %d %lx, default %d %lx\n", what, verdict[0], a, verdict[1], b);
            CHECK(verdict[0] == verdict[1] && a == b);
            CHECK(!verdict[0] || cases[i].pad == RSA_PKCS1_PSS_PADDING || (len[0] == len[1] && memcmp(sig[0], sig[1], len[0]) == 0));
        }
    }
    /* A public key cannot sign, with the same error. */
    what = "public key";
    unsigned char sig[1024];
    size_t len;
    int verdict[2];
    EVP_PKEY *their_public = build(theirs, EVP_PKEY_PUBLIC_KEY, "provider=default");
    unsigned long a = plain(ours_public, NULL, "SHA256", RSA_PKCS1_PADDING, 32, &verdict[0], sig, &len, size);
    unsigned long b = plain(their_public, "provider=default", "SHA256", RSA_PKCS1_PADDING, 32, &verdict[1], sig, &len, size);
    CHECK(!verdict[0] && !verdict[1] && a == b);
    EVP_PKEY_free(their_public);
    ERR_clear_error();
}

/* While data is being digested the digest is fixed; afterwards the context serves again. */
static void compare_contexts(void)
{
    EVP_PKEY *both[2] = { ours, theirs };
    unsigned long errors[2];
    unsigned char sig[2][1024];
    size_t len[2];
    int taken[2];
    for (int i = 0; i < 2; i++) {
        const char *query = i ? "provider=default" : NULL;
        EVP_PKEY_CTX *pctx;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        char text[50];
        int number = 0;
        what = i ? "default's context" : "our context";
        CHECK(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", NULL, query, both[i], NULL) == 1);
        OSSL_PARAM bad[2] = { OSSL_PARAM_construct_utf8_string("digest", "SHA1", 0), OSSL_PARAM_END };
        OSSL_PARAM same[2] = { OSSL_PARAM_construct_utf8_string("digest", "SHA2-256", 0), OSSL_PARAM_END };
        taken[i] = EVP_PKEY_CTX_set_params(pctx, bad);
        errors[i] = ERR_peek_last_error();
        ERR_clear_error();
        CHECK(EVP_PKEY_CTX_set_params(pctx, same) == 1);
        CHECK(OSSL_PARAM_locate_const(EVP_PKEY_CTX_settable_params(pctx), "digest") == NULL);
        OSSL_PARAM pss[3] = { OSSL_PARAM_construct_utf8_string("pad-mode", "pss", 0),
            OSSL_PARAM_construct_utf8_string("saltlen", "digest", 0), OSSL_PARAM_END };
        CHECK(EVP_PKEY_CTX_set_params(pctx, pss) == 1);
        OSSL_PARAM ask[4] = { OSSL_PARAM_construct_int("pad-mode", &number),
            OSSL_PARAM_construct_utf8_string("mgf1-digest", text, sizeof(text)), OSSL_PARAM_END };
        CHECK(EVP_PKEY_CTX_get_params(pctx, ask) == 1 && number == RSA_PKCS1_PSS_PADDING && strcmp(text, "SHA256") == 0);
        OSSL_PARAM pkcs1[2] = { OSSL_PARAM_construct_utf8_string("pad-mode", "pkcs1", 0), OSSL_PARAM_END };
        CHECK(EVP_PKEY_CTX_set_params(pctx, pkcs1) == 1);
        CHECK(EVP_DigestSignUpdate(ctx, "abc", 3) == 1);
        len[i] = size;
        CHECK(EVP_DigestSignFinal(ctx, sig[i], &len[i]) == 1);
        /* Again with the same context and no key: keys and digest stay. */
        CHECK(EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, query, NULL, NULL) == 1);
        CHECK(EVP_DigestSignUpdate(ctx, "abc", 3) == 1);
        unsigned char again[1024];
        size_t again_len = size;
        CHECK(EVP_DigestSignFinal(ctx, again, &again_len) == 1);
        CHECK(again_len == len[i] && memcmp(again, sig[i], again_len) == 0);
        EVP_MD_CTX_free(ctx);
    }
    CHECK(taken[0] == taken[1] && errors[0] == errors[1] && len[0] == len[1] && memcmp(sig[0], sig[1], len[0]) == 0);
    CHECK(ERR_peek_error() == 0);
}

static int progress_calls;
static int progress(EVP_PKEY_CTX *ctx)
{
    progress_calls += EVP_PKEY_CTX_get_keygen_info(ctx, 0) >= 0;
    return 1;
}
static int refuse(EVP_PKEY_CTX *ctx)
{
    return ctx == NULL;
}

static void generate(const char *provider)
{
    what = "generation";
    EVP_PKEY *key = NULL;
    BIGNUM *e = BN_new(), *got = NULL;
    BN_set_word(e, 3);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    CHECK(EVP_PKEY_keygen_init(ctx) == 1);
    EVP_PKEY_CTX_set_cb(ctx, progress);
    CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 1024) == 1 && EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) == 1);
    CHECK(EVP_PKEY_keygen(ctx, &key) == 1 && progress_calls > 0);
    CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key)), provider) == 0);
    CHECK(EVP_PKEY_get_bits(key) == 1024 && EVP_PKEY_get_bn_param(key, "e", &got) == 1 && BN_cmp(e, got) == 0);
    BN_free(got);
    EVP_PKEY_free(key);
    key = NULL;
    EVP_PKEY_CTX_set_cb(ctx, refuse);
    CHECK(EVP_PKEY_keygen(ctx, &key) != 1 && key == NULL);
    CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 100) != 1);
    EVP_PKEY_CTX_free(ctx);
    BN_free(e);
    ERR_clear_error();
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    int odd = argc == 4 && strcmp(argv[3], "whole") != 0;
    FILE *file = fopen(argv[1], "r");
    EVP_PKEY *pem = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, NULL, NULL);
    CHECK(pem != NULL);
    fclose(file);
    ours = odd ? build_odd(pem, argv[3], NULL) : build(pem, EVP_PKEY_KEYPAIR, NULL);
    theirs = odd ? build_odd(pem, argv[3], "provider=default") : build(pem, EVP_PKEY_KEYPAIR, "provider=default");
    ours_public = build(pem, EVP_PKEY_PUBLIC_KEY, NULL);
    size = (size_t)EVP_PKEY_get_size(theirs);
    CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(ours)), argv[2]) == 0);
    CHECK(strcmp(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(theirs)), "default") == 0);
    compare_parameters();
    compare_identity();
    compare_signatures();
    compare_plain();
    compare_contexts();
    generate(argv[2]);
    EVP_PKEY_free(pem);
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours_public);
    puts("same");
    return 0;
}
