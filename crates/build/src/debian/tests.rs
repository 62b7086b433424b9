use minke_net::ClientOptions;

use super::*;

#[test]
fn a_suite_that_is_not_there_is_an_error_whatever_it_is_called() {
    let archive = tempfile::tempdir().unwrap();
    let mirror = format!("file://{}", archive.path().display());
    let client = Client::new(ClientOptions::default()).unwrap();
    for suite in ["sid", "sid-updates"] {
        let said = |value: &str| Some(Said { value: value.to_owned(), origin: Origin::Argument("--base") });
        let mirror =
            said(&mirror).map(|Said { value, origin }| Said { value: value.parse().unwrap(), origin });
        let settings = Settings { base: said(suite), mirror, ..Settings::default() };
        let wishes = (&settings, &Host::default());
        let error = Debian::open(&client, wishes, Arch::Amd64, &Reporter::silent()).err().unwrap();
        assert_eq!(error.to_string(), format!("cannot fetch the release file of {suite}"));
    }
}
