//! The openssl.cnf that enables the provider on top of whatever configuration the machine has.
//!
//! The existing file is included, then the sections it already names are reopened: libcrypto merges sections of
//! one name and lets the later assignment win, so the administrator's settings stay in force. Two lines are
//! there for safety: `default` is activated (listing any provider switches off its implicit load), and the
//! random generator is pinned to it, so that its own AES never meets the device.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use settings::Settings;

mod settings;

/// Text of a configuration that includes `base`, if any, and prefers the provider at `module`. `None` if the base
/// activates providers but not `default`: whoever leaves `default` out wants no algorithm from anywhere else.
pub fn text(base: Option<(&Path, &str)>, module: &Path) -> Option<String> {
    let settings = base.map(|(_, content)| Settings::parse(content)).unwrap_or_default();
    if leaves_default_out(&settings) {
        return None;
    }
    let init = settings.value("", "openssl_conf").unwrap_or("warpdrive_init");
    let section = |key: &str, ours: &'static str| settings.value(init, key).unwrap_or(ours).to_owned();
    let providers = section("providers", "warpdrive_providers");
    let properties = section("alg_section", "warpdrive_properties");
    let random = section("random", "warpdrive_random");
    let default = settings.value(&providers, "default").unwrap_or("warpdrive_default");

    let mut text =
        String::from("# Made by `warpdrive run`: the machine's configuration with the provider added.\n");
    if let Some((path, _)) = base {
        let _ = writeln!(text, ".include {}", quoted(path));
    }
    let mut add = |section: &str, key: &str, value: &str| {
        let _ = writeln!(text, "[{section}]\n{key} = {value}");
    };
    add("default", "openssl_conf", init);
    add(init, "providers", &providers);
    add(init, "alg_section", &properties);
    add(init, "random", &random);
    add(&providers, "default", default);
    add(&providers, "warpdrive", "warpdrive_sect");
    add(default, "activate", "1");
    add("warpdrive_sect", "module", &quoted(module));
    add("warpdrive_sect", "activate", "1");
    match settings.value(&properties, "default_properties") {
        None => add(&properties, "default_properties", "?provider=warpdrive"),
        // A mandatory `fips=yes` must keep winning: ours never claims to match it.
        Some(theirs) if theirs.contains("provider=") => {}
        Some(theirs) => add(&properties, "default_properties", &format!("{theirs},?provider=warpdrive")),
    }
    if settings.value(&random, "properties").is_none() {
        add(&random, "properties", "provider=default");
    }
    Some(text)
}

/// Whether some provider is activated and `default` is not. (None at all: libcrypto activates `default` itself.)
fn leaves_default_out(settings: &Settings) -> bool {
    let Some(list) = settings.value("", "openssl_conf").and_then(|init| settings.value(init, "providers"))
    else {
        return false;
    };
    let mut active =
        settings.section(list).filter(|(_, section)| settings.value(section, "activate").is_some());
    // libcrypto's provider name: what follows the first dot of the key, or `identity`
    let name = |(key, section): (&str, &str)| {
        let own = settings.value(section, "identity").map(str::to_owned);
        own.unwrap_or_else(|| key.split_once('.').map_or(key, |(_, name)| name).to_owned())
    };
    let mut found = active.by_ref().map(name).peekable();
    found.peek().is_some() && found.all(|name| name != "default")
}

/// A path as a value: in quotes, where only the quote and the backslash have a meaning.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// The configuration libcrypto would read in this environment.
pub fn base_file() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("OPENSSL_CONF") {
        let path = PathBuf::from(path);
        return path.is_file().then_some(path);
    }
    // OPENSSLDIR of the distributions' builds: Debian and SUSE, Fedora and openEuler, a local build.
    ["/etc/ssl/openssl.cnf", "/etc/pki/tls/openssl.cnf", "/usr/local/ssl/openssl.cnf"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = "/opt/warpdrive.so";

    fn merged(base: &str) -> Settings {
        let added = text(Some((Path::new("/base.cnf"), base)), Path::new(MODULE)).unwrap();
        assert!(added.contains("\n.include \"/base.cnf\"\n"));
        Settings::parse(&format!("{base}\n{added}"))
    }

    #[test]
    fn without_a_base_the_configuration_is_complete() {
        let settings = Settings::parse(&text(None, Path::new(MODULE)).unwrap());
        assert_eq!(settings.value("", "openssl_conf"), Some("warpdrive_init"));
        assert_eq!(settings.value("warpdrive_providers", "warpdrive"), Some("warpdrive_sect"));
        assert_eq!(settings.value("warpdrive_default", "activate"), Some("1"));
        assert_eq!(settings.value("warpdrive_properties", "default_properties"), Some("?provider=warpdrive"));
        assert_eq!(settings.value("warpdrive_random", "properties"), Some("provider=default"));
        assert_eq!(settings.value("warpdrive_sect", "module"), Some(MODULE));
    }

    #[test]
    fn sections_of_the_base_are_extended_not_replaced() {
        let base = "openssl_conf = openssl_init\n[openssl_init]\nproviders = provider_sect\nssl_conf = ssl_sect\n\
                    [provider_sect]\ndefault = default_sect\nlegacy = legacy_sect\n[default_sect]\n# activate = 1\n";
        let settings = merged(base);
        assert_eq!(settings.value("", "openssl_conf"), Some("openssl_init"));
        assert_eq!(settings.value("openssl_init", "ssl_conf"), Some("ssl_sect"));
        assert_eq!(settings.value("openssl_init", "providers"), Some("provider_sect"));
        assert_eq!(settings.value("provider_sect", "legacy"), Some("legacy_sect"));
        assert_eq!(settings.value("provider_sect", "warpdrive"), Some("warpdrive_sect"));
        assert_eq!(settings.value("default_sect", "activate"), Some("1"));
    }

    #[test]
    fn a_fips_requirement_of_the_base_stays_in_force() {
        let base = "openssl_conf = i\n[i]\nalg_section = a\n[a]\ndefault_properties = fips=yes\n";
        assert_eq!(merged(base).value("a", "default_properties"), Some("fips=yes,?provider=warpdrive"));
    }

    #[test]
    fn another_providers_preference_and_random_section_are_respected() {
        let base = "openssl_conf = i\n[i]\nalg_section = a\nrandom = r\n[a]\ndefault_properties = ?provider=tpm2\n\
                    [r]\nproperties = provider=fips\n";
        let settings = merged(base);
        assert_eq!(settings.value("a", "default_properties"), Some("?provider=tpm2"));
        assert_eq!(settings.value("r", "properties"), Some("provider=fips"));
    }

    #[test]
    fn providers_without_the_default_one_are_left_alone() {
        let base = "openssl_conf = i\n[i]\nproviders = p\n[p]\nfips = f\n1.base = b\n[f]\nactivate = 1\n[b]\nactivate = 1\n";
        assert_eq!(text(Some((Path::new("/base.cnf"), base)), Path::new(MODULE)), None);
        assert!(
            text(Some((Path::new("/base.cnf"), &format!("{base}identity = default\n"))), Path::new(MODULE))
                .is_some()
        );
        assert!(
            text(Some((Path::new("/base.cnf"), &base.replace("activate", "#"))), Path::new(MODULE)).is_some()
        );
    }
}
