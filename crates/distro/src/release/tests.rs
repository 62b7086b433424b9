use jiff::civil::date;
use minke_testkit::{FIXTURE_TIME, KeyState, SignedBy, SigningKey, clearsign};

use super::*;

/// Two days after the fixtures sign.
const TODAY: Date = date(2020, 1, 3);

fn text(more: &str) -> String {
    let digest = Digest::of(b"index").hex();
    format!(
        "Origin: Toys\nSuite: stable\nCodename: trixie\nDate: Wed, 01 Jan 2020 00:00:00 UTC\n{more}\
         Acquire-By-Hash: yes\nArchitectures: amd64\nComponents: main updates/contrib\nSHA256:\n \
         {digest} 5 main/binary-amd64/Packages\n {digest}      5 main/binary-amd64/Packages.xz\n"
    )
}

fn keyring(keys: &[&SigningKey]) -> Keyring {
    keys.iter().fold(Keyring::default(), |all, key| {
        all.with(Keyring::parse(key.public_armored().as_bytes()).unwrap_or_default())
    })
}

fn verify(inrelease: &str, keyring: &Keyring) -> Result<Release, String> {
    Release::verify(inrelease.as_bytes(), keyring, TODAY).map_err(|error| error.to_string())
}

#[test]
fn a_signed_list_is_read() {
    let key = SigningKey::new(1);
    let release = verify(&key.clearsign(&text("")), &keyring(&[&key])).unwrap();
    assert_eq!(release.date.as_second().cast_unsigned(), FIXTURE_TIME);
    assert_eq!(release.components, ["main", "contrib"]);
    assert_eq!(release.signed_by, key.subkey_fingerprint().to_uppercase());
    let digest = Digest::of(b"index");
    let path = format!("main/binary-amd64/by-hash/SHA256/{}", digest.hex());
    let file = |name: &str, compression| {
        let name = format!("main/binary-amd64/{name}");
        IndexFile { path: path.clone(), name, digest, size_bytes: 5, compression }
    };
    let files = [file("Packages.xz", Compression::Xz), file("Packages", Compression::None)];
    assert_eq!(release.index("main", Arch::Amd64), files);
    assert_eq!(release.index("main", Arch::Arm64), []);
}

#[test]
fn a_list_without_by_hash_is_fetched_by_its_name() {
    let key = SigningKey::new(1);
    let release = verify(&key.clearsign(&text("").replace("yes", "no")), &keyring(&[&key])).unwrap();
    assert_eq!(release.index("main", Arch::Amd64)[0].path, "main/binary-amd64/Packages.xz");
}

#[test]
fn a_list_for_another_suite_is_refused() {
    let key = SigningKey::new(1);
    let release = verify(&key.clearsign(&text("")), &keyring(&[&key])).unwrap();
    for suite in ["stable", "trixie"] {
        release.expect_suite(&suite.parse().unwrap()).unwrap();
    }
    let error = release.expect_suite(&"bookworm".parse().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "it is for stable, trixie, not for bookworm");
}

// The same states that testkit has gpgv judge; see its own test.
#[test]
fn keys_are_judged_as_gpgv_judges_them() {
    let states = [
        KeyState::Good,
        KeyState::Expires(FIXTURE_TIME + 1),
        KeyState::SubkeyExpires(FIXTURE_TIME + 1),
        KeyState::Revoked,
        KeyState::SubkeyRevoked,
        KeyState::SubkeyBoundByStranger,
        KeyState::SubkeyWithoutBackSignature,
        KeyState::SubkeyMayNotSign,
    ];
    let mut report = String::new();
    for state in states {
        let key = SigningKey::with_state(1, state);
        let verdict = verify(&key.clearsign(&text("")), &keyring(&[&key]));
        let verdict =
            verdict.map_or_else(|error| error, |release| format!("signed by {}", release.signed_by));
        let verdict = verdict.replace(&key.subkey_fingerprint().to_uppercase(), "SUBKEY");
        report.push_str(&format!("{state:?}: {verdict}\n"));
    }
    insta::assert_snapshot!(report, @r"
    Good: signed by SUBKEY
    Expires(1577836801): no signature can be trusted: key SUBKEY or its signature expired on 2020-01-01
    SubkeyExpires(1577836801): no signature can be trusted: key SUBKEY or its signature expired on 2020-01-01
    Revoked: no signature can be trusted: key SUBKEY was revoked
    SubkeyRevoked: no signature can be trusted: key SUBKEY was revoked
    SubkeyBoundByStranger: no signature can be trusted: key SUBKEY is not in the keyring
    SubkeyWithoutBackSignature: no signature can be trusted: key SUBKEY is not in the keyring
    SubkeyMayNotSign: no signature can be trusted: key SUBKEY is not in the keyring
    ");
}

#[test]
fn one_good_signature_is_enough() {
    let (key, stranger) = (SigningKey::new(1), SigningKey::new(2));
    let both = clearsign(&text(""), &[(&stranger, SignedBy::Subkey), (&key, SignedBy::Primary)]);
    let release = verify(&both, &keyring(&[&key])).unwrap();
    assert_eq!(release.signed_by, key.fingerprint().to_uppercase());
}

#[test]
fn what_was_changed_or_added_is_refused() {
    let key = SigningKey::new(1);
    let signed = key.clearsign(&text(""));
    let forged = [
        ("another word", signed.replace("stable", "unstable")),
        ("a line before", format!("Suite: sid\n{signed}")),
        ("a line after", format!("{signed}Suite: sid\n")),
        ("a second message", format!("{signed}{signed}")),
        ("an unsigned header", signed.replace("Hash: SHA256\n", "Hash: SHA256\nSuite: sid\n")),
        ("no signature", text("")),
        ("half of it", signed[..signed.len() / 2].to_owned()),
        (
            "no packets",
            signed.split_inclusive("SIGNATURE-----\n\n").next().unwrap().to_owned()
                + "=AAAA\n-----END PGP SIGNATURE-----\n",
        ),
    ];
    for (what, inrelease) in forged {
        assert!(verify(&inrelease, &keyring(&[&key])).is_err(), "{what}");
    }
}

// Dash escapes are undone and blanks at line ends aren't signed: what is read is what was signed.
#[test]
fn the_text_that_is_read_is_the_text_that_was_signed() {
    let key = SigningKey::new(1);
    let signed = key.clearsign(&text("-Odd: yes\nLabel: x \t\n"));
    assert!(signed.contains("- -Odd: yes"));
    let dos = signed.replace('\n', "\r\n");
    let blanks = signed.replace("Origin: Toys\n", "Origin: Toys  \n");
    let expected = verify(&signed, &keyring(&[&key])).unwrap();
    assert_eq!(verify(&dos, &keyring(&[&key])).unwrap(), expected);
    assert_eq!(verify(&blanks, &keyring(&[&key])).unwrap(), expected);
}

#[test]
fn time_is_judged_by_the_day_that_is_given() {
    let key = SigningKey::new(1);
    let limited = key.clearsign(&text("Valid-Until: Wed, 08 Jan 2020 00:00:00 UTC\n"));
    let on = |day| {
        Release::verify(limited.as_bytes(), &keyring(&[&key]), day)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(on(date(2020, 1, 8)), Ok(()));
    assert_eq!(on(date(2020, 1, 9)), Err("it expired on 2020-01-08".into()));
    assert_eq!(on(date(2019, 12, 31)), Ok(()));
    let untimely = format!(
        "no signature can be trusted: the signature by key {} has an impossible date",
        key.subkey_fingerprint().to_uppercase()
    );
    assert_eq!(on(date(2019, 12, 1)), Err(untimely));
    let future = key.clearsign(&text("").replace("01 Jan 2020", "15 Jan 2020"));
    assert_eq!(
        verify(&future, &keyring(&[&key])).unwrap_err(),
        "it is dated 2020-01-15, which is in the future"
    );
}

#[test]
fn fields_that_cannot_be_read_are_named() {
    let key = SigningKey::new(1);
    let broken = [
        (text("").replace("Date: Wed", "Date: some Wed"), "Date"),
        (text("Valid-Until: soon\n"), "Valid-Until"),
        (text("").replace("Suite: stable", "Suite: ../x"), "Suite"),
        (text("").replace("main/binary-amd64/Packages.xz", "../../etc/passwd"), "SHA256"),
        (text("").replace(" 5 main", " five main"), "SHA256"),
        (text("").replace("SHA256:", "MD5Sum:"), "SHA256"),
    ];
    for (text, field) in broken {
        let error = verify(&key.clearsign(&text), &keyring(&[&key])).unwrap_err();
        assert_eq!(error, format!("its field `{field}` is missing or cannot be read"));
    }
}
