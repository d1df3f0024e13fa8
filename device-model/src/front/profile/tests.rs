//! What profiles and their keys mean.

use super::*;

#[test]
fn a_kernel_without_sva_shows_it_in_flags_and_api() {
    for (text, flags, api) in [
        ("kunpeng920-nosva", 2, "hisi_qm_v2_noiommu"),
        ("kunpeng930-nosva", 2, "hisi_qm_v3_noiommu"),
        ("kunpeng930-nosva,flags=128", 128, "hisi_qm_v3"),
        ("kunpeng930,flags=129", 129, "hisi_qm_v3"),
        ("kunpeng930,flags=129,uacce_mode=2", 128, "hisi_qm_v3"),
        ("kunpeng920,uacce_mode=2", 2, "hisi_qm_v2_noiommu"),
        ("kunpeng920-nosva,uacce_mode=1,api=hisi_qm_v7", 129, "hisi_qm_v7"),
    ] {
        let p = Profile::parse(text).unwrap();
        assert_eq!((p.flags, p.api()), (flags, api), "{text}");
        assert_eq!((p.sva(), p.kae()), (flags & 1 == 1, true), "{text}");
    }
    assert!(!KUNPENG930.kae() && KUNPENG930.sva());
    assert!(Profile::parse("kunpeng930,uacce_mode=0").unwrap().devices().is_empty());
    let p = Profile::parse("kunpeng930-nosva,ss_slice=64K,ss_limit=3G,ss_gaps=all,ss_seed=9").unwrap();
    assert_eq!(
        p.ss,
        SsProfile { slice: 65536, gaps: Gaps::All, seed: 9, limit: 3 << 30, whole_device: false }
    );
    for text in ["flags=3", "ss_slice=4", "ss_slice=129M", "ss_slice=64KK", "ss_gaps=few", "ss_limit=8G"] {
        assert!(Profile::parse(&format!("kunpeng930,{text}")).is_err(), "{text}");
    }
}

#[test]
fn region_sizes_are_those_of_the_kernel() {
    for (profile, mmio) in [(&KUNPENG920, 8192), (&KUNPENG930, 65536)] {
        assert_eq!(profile.mmio_size(4096), mmio);
        assert_eq!(profile.mmio_size(65536), 65536);
        assert_eq!(profile.dus_size(Kind::Zip, 4096), 151_552);
        assert_eq!(profile.dus_size(Kind::Sec, 4096), 151_552);
        assert_eq!(profile.dus_size(Kind::Hpre, 4096), 86016);
        assert_eq!(profile.dus_size(Kind::Zip, 65536), 262_144);
        assert_eq!(profile.dus_size(Kind::Hpre, 65536), 196_608);
    }
}

#[test]
fn minors_come_from_one_counter_and_nodes_alternate() {
    let devices = KUNPENG930.devices();
    let names: Vec<_> = devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(
        names,
        ["hisi_sec2-0", "hisi_sec2-1", "hisi_hpre-2", "hisi_hpre-3", "hisi_zip-4", "hisi_zip-5"]
    );
    assert_eq!(devices.iter().map(|d| d.node).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
}

#[test]
fn keys_override_one_kind_or_all() {
    let p =
        Profile::parse("kunpeng920,queues=2,zip=1,hpre.queues=7,sec.node_mode=000,zip.isolate=1").unwrap();
    assert_eq!((p.zip.queues, p.sec.queues, p.hpre.queues), (2, 2, 7));
    assert_eq!((p.zip.devices, p.sec.devices), (1, 2));
    assert_eq!((p.sec.node_mode, p.zip.node_mode), (0, 0o666));
    assert!(p.zip.isolate && !p.sec.isolate);
    assert_eq!(p.api(), "hisi_qm_v2");
    assert_eq!(Profile::parse("").unwrap(), KUNPENG930);
}

#[test]
fn a_bad_text_says_what_is_wrong() {
    for text in
        ["kunpeng999", "kunpeng930,queues", "kunpeng930,queues=0", "kunpeng930,colour=1", ",sac.queues=1"]
    {
        assert!(Profile::parse(text).is_err(), "{text}");
    }
    let error = Profile::parse("kunpeng930,queues=0").unwrap_err().to_string();
    assert!(error.contains("queues=0") && error.contains("1 to 1024"), "{error}");
}

#[test]
fn a_kernel_is_one_key_and_put_q_is_part_of_it() {
    for (text, kernel, qp_info) in [
        ("kunpeng930", Kernel::Newest, true),
        ("kunpeng930,kernel=new", Kernel::New, true),
        ("kunpeng930,kernel=old", Kernel::Old, false),
        ("kunpeng930,kernel=old,qp_info=1", Kernel::Old, true),
        ("kunpeng930,put_q=zombie", Kernel::Old, true),
        ("kunpeng930,put_q=zombie-new", Kernel::New, true),
        ("kunpeng930-nosva,put_q=init", Kernel::Newest, true),
    ] {
        let p = Profile::parse(text).unwrap();
        assert_eq!((p.kernel, p.qp_info), (kernel, qp_info), "{text}");
    }
}

#[test]
fn every_key_has_a_name_of_its_own_and_says_what_it_wants() {
    for (n, key) in keys::KEYS.iter().enumerate() {
        assert!(keys::KEYS[..n].iter().all(|other| other.name != key.name), "{}", key.name);
        if key.name != "api" {
            let error = Profile::parse(&format!("kunpeng930,{}=?", key.name)).unwrap_err().to_string();
            assert!(error.contains(key.wants), "{error}");
        }
    }
    assert!(Profile::parse("kunpeng930,zip.depth=64").is_err());
}

#[test]
fn capabilities_nodes_and_lateness_can_be_chosen() {
    let p = Profile::parse("scarce,hpre.algorithms=rsa+sm2,zip.node=-1,sec.late=500,version=2").unwrap();
    assert_eq!(p.hpre.algorithms, ["rsa", "sm2"]);
    assert_eq!((p.zip.node, p.sec.late, p.api()), (Some(-1), 500, "hisi_qm_v2"));
    assert_eq!(p.devices().iter().map(|d| d.node).collect::<Vec<_>>(), [0, 0, -1]);
    assert_eq!((p.zip.queues, p.depth), (2, 64));
    for text in ["hpre.algorithms=dh+rsa", "zip.algorithms=lzma", "sec.algorithms=cipher+cipher"] {
        assert!(Profile::parse(&format!("kunpeng930,{text}")).is_err(), "{text}");
    }
}

#[test]
fn options_are_those_of_the_kind() {
    let p = Profile::parse("kunpeng920,zip.options=leave-input+portion:64").unwrap();
    assert!(p.zip.options.leave_input && p.zip.options.portion == Some(64));
    let p = Profile::parse("kunpeng930,hpre.options=any-point+seed:7").unwrap();
    assert!(p.hpre.hpre_options.any_point && p.hpre.hpre_options.seed == Some(7));
    for text in [
        "sec.options=leave-input",
        "hpre.options=leave-input",
        "zip.options=any-point",
        "options=leave-input",
        "zip.options=lazy",
    ] {
        assert!(Profile::parse(&format!("kunpeng930,{text}")).is_err(), "{text}");
    }
}

#[test]
fn service_times_are_a_profile_with_keys_over_it() {
    let p = Profile::parse("kunpeng920,service=kunpeng920,zip.engines=3/4,hpre.cubic_ns=7").unwrap();
    assert_eq!((p.zip.work[0].engines, p.zip.work[1].engines), (3, 4));
    assert_eq!((p.zip.work[0].bytes_per_us, p.hpre.work[0].cubic_ns, p.hpre.work[1].cubic_ns), (3600, 7, 7));
    assert!(p.takes_time() && p.page_fault_ns > 0 && !p.canned);
    let p = Profile::parse("kunpeng920,service=kunpeng920,service=none,canned=1").unwrap();
    assert!(!p.takes_time() && p.canned);
    assert!(Profile::parse("kunpeng930,page_fault_ns=1").unwrap().takes_time());
    for text in ["zip.engines=17", "fixed_ns=1000000001", "latency_ns=1/2/3", "service=fast"] {
        assert!(Profile::parse(&format!("kunpeng930,{text}")).is_err(), "{text}");
    }
}
