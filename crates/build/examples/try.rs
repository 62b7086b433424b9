//! temporary
use std::collections::BTreeMap;
fn main() {
    let project = std::env::args().nth(1).unwrap();
    let cache = std::env::args().nth(2).unwrap();
    let out: Vec<String> = std::env::args().skip(3).collect();
    let store = minke_cas::Store::open(std::path::Path::new(&cache)).unwrap();
    let wishes = minke_build::project::wishes(std::path::Path::new(&project)).unwrap();
    let host = minke_build::Host { variables: std::env::vars().collect::<BTreeMap<_,_>>(), home: Some("/root".into()), directory: std::env::current_dir().unwrap(), today: jiff::civil::date(2026,11,22), jobs: 2,
        apt_sources: vec![("/etc/apt/sources.list.d/debian.sources".into(), std::fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap())], pip_config: vec![], netrc: None };
    let request = minke_build::Request { project: project.into(), settings: minke_build::settings::Settings::of(wishes), locks: Default::default(), tag: None, outputs: out, host };
    let (tx, rx) = std::sync::mpsc::channel();
    let t = std::thread::spawn(move || for e in rx { match e { minke_build::Event::Started{hop,..} => eprintln!("> {hop:?}"), e => eprintln!("{e:?}") } });
    let r = minke_build::build(&request, &store, &minke_build::Reporter::to(tx));
    t.join().unwrap();
    match r { Ok(b) => { println!("{}", b.reference()); for l in &b.layers { println!("{} {} {} {}", l.name, l.entries, l.size, l.compressed_size); } println!("{:?}", b.entry); println!("{:?}", b.left_out); },
      Err(e) => { let mut e: &dyn std::error::Error = &e; loop { eprintln!("E: {e}"); match e.source() { Some(s) => e = s, None => break } } } }
}
