/* Loads the provider and reports what that left behind: descriptors, threads, and mappings that are neither the
 * module's, its libraries', nor the heap's. Usage: quiet. The module is found through the configuration. */
#include <dirent.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdio.h>
#include <string.h>

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;
    while (dir != NULL && readdir(dir) != NULL)
        count++;
    if (dir != NULL)
        closedir(dir);
    return count;
}

static int shared_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[600];
    int count = 0;
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        count += line[strcspn(line, " ") + 4] == 's';
    if (maps != NULL)
        fclose(maps);
    return count;
}

int main(void)
{
    int before[3] = { entries("/proc/self/fd"), entries("/proc/self/task"), shared_mappings() };
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    if (!OSSL_PROVIDER_available(NULL, "warpdrive"))
        return 1;
    EVP_SIGNATURE *signature = EVP_SIGNATURE_fetch(NULL, "RSA", NULL);
    printf("signature %s\n", OSSL_PROVIDER_get0_name(EVP_SIGNATURE_get0_provider(signature)));
    EVP_SIGNATURE_free(signature);
    printf("descriptors %d threads %d mappings %d\n", entries("/proc/self/fd") - before[0],
        entries("/proc/self/task") - before[1], shared_mappings() - before[2]);
    return 0;
}
