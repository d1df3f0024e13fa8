/* What the provider's Rust sources assume about libcrypto's public headers. Compiled, never run. The slots'
 * ids and types come from ossl/dispatch.rs itself: the test writes them to abi_slots.h. */
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>
#include <openssl/params.h>
#include <stddef.h>
#include <string.h>

#define IS(name, value) _Static_assert((name) == (value), #name)
#define SLOT(NAME, name, id, type)                                                        \
    _Static_assert(OSSL_FUNC_##NAME == id, #NAME);                                        \
    _Static_assert(__builtin_types_compatible_p(OSSL_FUNC_##name##_fn, type), #NAME " has another type");
#include "abi_slots.h"

/* ossl/dispatch.rs */
IS(sizeof(OSSL_DISPATCH), 2 * sizeof(void *));
IS(offsetof(OSSL_DISPATCH, function_id), 0);
IS(offsetof(OSSL_DISPATCH, function), sizeof(void *));
IS(sizeof(OSSL_ALGORITHM), 4 * sizeof(void *));
IS(offsetof(OSSL_ALGORITHM, algorithm_names), 0);
IS(offsetof(OSSL_ALGORITHM, property_definition), sizeof(void *));
IS(offsetof(OSSL_ALGORITHM, implementation), 2 * sizeof(void *));
IS(offsetof(OSSL_ALGORITHM, algorithm_description), 3 * sizeof(void *));
IS(OSSL_OP_CIPHER, 2);
IS(OSSL_OP_KEYMGMT, 10);
IS(OSSL_OP_SIGNATURE, 12);
IS(OSSL_KEYMGMT_SELECT_PRIVATE_KEY, 0x01);
IS(OSSL_KEYMGMT_SELECT_PUBLIC_KEY, 0x02);
IS(OSSL_KEYMGMT_SELECT_KEYPAIR, 0x03);
IS(OSSL_KEYMGMT_SELECT_OTHER_PARAMETERS, 0x80);
IS(OSSL_KEYMGMT_VALIDATE_QUICK_CHECK, 1);

/* ossl/param.rs */
IS(sizeof(OSSL_PARAM), 5 * sizeof(void *));
IS(offsetof(OSSL_PARAM, key), 0);
IS(offsetof(OSSL_PARAM, data_type), sizeof(void *));
IS(offsetof(OSSL_PARAM, data), 2 * sizeof(void *));
IS(offsetof(OSSL_PARAM, data_size), 3 * sizeof(void *));
IS(offsetof(OSSL_PARAM, return_size), 4 * sizeof(void *));
IS(OSSL_PARAM_INTEGER, 1);
IS(OSSL_PARAM_UNSIGNED_INTEGER, 2);
IS(OSSL_PARAM_UTF8_STRING, 4);
IS(OSSL_PARAM_OCTET_STRING, 5);
IS(OSSL_PARAM_UTF8_PTR, 6);
IS(OSSL_PARAM_OCTET_PTR, 7);
IS(OSSL_PARAM_UNMODIFIED, (size_t)-1);

/* ossl/upcall.rs */
IS(OSSL_FUNC_CORE_GET_PARAMS, 2);
IS(OSSL_FUNC_CORE_GET_LIBCTX, 4);

/* ossl/error.rs */
IS(ERR_LIB_PROV, 57);
IS(PROV_R_CIPHER_OPERATION_FAILED, 102);
IS(PROV_R_FAILED_TO_GET_PARAMETER, 103);
IS(PROV_R_FAILED_TO_SET_PARAMETER, 104);
IS(PROV_R_INVALID_KEY_LENGTH, 105);
IS(PROV_R_OUTPUT_BUFFER_TOO_SMALL, 106);
IS(PROV_R_INVALID_IV_LENGTH, 109);
IS(PROV_R_NO_KEY_SET, 114);
IS(ERR_LIB_EVP, 6);
#ifdef EVP_R_PROVIDER_SIGNATURE_FAILURE
IS(EVP_R_PROVIDER_SIGNATURE_FAILURE, 234);
#endif

/* rsa/sign.rs, rsa/emsa.rs, shim/cipher.rs, ossl/handle.rs */
IS(RSA_PKCS1_PADDING, 1);
IS(RSA_PKCS1_PSS_PADDING, 6);
IS(RSA_PSS_SALTLEN_DIGEST, -1);
IS(RSA_PSS_SALTLEN_AUTO, -2);
IS(RSA_PSS_SALTLEN_MAX, -3);
#ifdef RSA_PSS_SALTLEN_AUTO_DIGEST_MAX
IS(RSA_PSS_SALTLEN_AUTO_DIGEST_MAX, -4);
#endif
IS(EVP_CIPH_CTR_MODE, 5);
IS(EVP_MAX_MD_SIZE, 64);
IS(BN_FLG_CONSTTIME, 4);

/* Parameter names are spelled out in the Rust sources; here are both spellings. */
#define NAMED(name, text) _Static_assert(__builtin_strcmp(name, text) == 0, #name)
NAMED(OSSL_SIGNATURE_PARAM_PAD_MODE, "pad-mode");
NAMED(OSSL_SIGNATURE_PARAM_DIGEST, "digest");
NAMED(OSSL_SIGNATURE_PARAM_PROPERTIES, "properties");
NAMED(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, "mgf1-digest");
NAMED(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, "mgf1-properties");
NAMED(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, "saltlen");
NAMED(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, "algorithm-id");
NAMED(OSSL_PKEY_PARAM_RSA_FACTOR1, "rsa-factor1");
NAMED(OSSL_PKEY_PARAM_RSA_FACTOR10, "rsa-factor10");
NAMED(OSSL_PKEY_PARAM_RSA_EXPONENT1, "rsa-exponent1");
NAMED(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, "rsa-coefficient1");
NAMED(OSSL_PKEY_PARAM_RSA_BITS, "bits");
NAMED(OSSL_PKEY_PARAM_RSA_PRIMES, "primes");
NAMED(OSSL_PKEY_PARAM_SECURITY_BITS, "security-bits");
NAMED(OSSL_PKEY_PARAM_MAX_SIZE, "max-size");
NAMED(OSSL_PKEY_PARAM_DEFAULT_DIGEST, "default-digest");
NAMED(OSSL_GEN_PARAM_POTENTIAL, "potential");
NAMED(OSSL_GEN_PARAM_ITERATION, "iteration");
NAMED(OSSL_CIPHER_PARAM_UPDATED_IV, "updated-iv");
NAMED(OSSL_CIPHER_PARAM_IV, "iv");
NAMED(OSSL_CIPHER_PARAM_NUM, "num");
NAMED(OSSL_CIPHER_PARAM_KEYLEN, "keylen");
NAMED(OSSL_CIPHER_PARAM_IVLEN, "ivlen");
NAMED(OSSL_CIPHER_PARAM_PADDING, "padding");
NAMED(OSSL_CIPHER_PARAM_USE_BITS, "use-bits");
NAMED(OSSL_CIPHER_PARAM_MODE, "mode");
NAMED(OSSL_CIPHER_PARAM_BLOCK_SIZE, "blocksize");
NAMED(OSSL_CIPHER_PARAM_AEAD, "aead");
NAMED(OSSL_CIPHER_PARAM_CUSTOM_IV, "custom-iv");
NAMED(OSSL_CIPHER_PARAM_CTS, "cts");
NAMED(OSSL_CIPHER_PARAM_TLS1_MULTIBLOCK, "tls-multi");
NAMED(OSSL_CIPHER_PARAM_HAS_RAND_KEY, "has-randkey");
NAMED(OSSL_CIPHER_PARAM_TLS_VERSION, "tls-version");
NAMED(OSSL_CIPHER_PARAM_TLS_MAC, "tls-mac");
NAMED(OSSL_CIPHER_PARAM_TLS_MAC_SIZE, "tls-mac-size");
NAMED(OSSL_PROV_PARAM_NAME, "name");
NAMED(OSSL_PROV_PARAM_VERSION, "version");
NAMED(OSSL_PROV_PARAM_BUILDINFO, "buildinfo");
NAMED(OSSL_PROV_PARAM_STATUS, "status");
