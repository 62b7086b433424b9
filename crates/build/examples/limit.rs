//! The limit of a cold build: inflates wheels, hashes what is in them and compresses it again, on all cores, and
//! nothing else. No file is written and nothing is checked.
//!
//! ```sh
//! cargo run --release -p minke-build --example limit -- WHEEL…
//! ```

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use libdeflater::{CompressionLvl, Compressor};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// What a layer's gzip members are made from.
const MEMBER_SIZE: usize = 2 * 1024 * 1024;

/// A layer's level.
const LEVEL: i32 = 6;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let wheels: Vec<String> =
        std::env::args_os().skip(1).filter_map(|path| path.into_string().ok()).collect();
    let began = Instant::now();
    let mut entries = Vec::new();
    for wheel in &wheels {
        let mut archive = ZipArchive::new(File::open(wheel)?)?;
        for index in 0..archive.len() {
            entries.push((archive.by_index_raw(index)?.size(), wheel, index));
        }
    }
    // The largest first: what is begun last should be short.
    entries.sort_by(|one, other| other.cmp(one));
    let threads = rayon::current_num_threads();
    let shares: Vec<Vec<_>> =
        (0..threads).map(|share| entries.iter().skip(share).step_by(threads).collect()).collect();
    let sums: Result<Vec<(u64, u64)>, Box<dyn std::error::Error + Send + Sync>> =
        shares.into_par_iter().map(work).collect();
    let (bytes, compressed) = sums?.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!("{:.3} s, {bytes} bytes, {compressed} compressed", began.elapsed().as_secs_f64());
    Ok(())
}

/// Does one core's share: entries of wheels, small ones gathered to a member.
fn work(share: Vec<&(u64, &String, usize)>) -> Result<(u64, u64), Box<dyn std::error::Error + Send + Sync>> {
    let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).expect("a level"));
    let mut open: Option<(&String, ZipArchive<File>)> = None;
    let (mut hasher, mut pending, mut member) = (Sha256::new(), Vec::new(), Vec::new());
    let (mut bytes, mut compressed) = (0, 0);
    let mut press = |tar: &[u8]| {
        member.resize(compressor.gzip_compress_bound(tar.len()), 0);
        compressor.gzip_compress(tar, &mut member).expect("the bound is large enough") as u64
    };
    for &&(_, wheel, index) in &share {
        if open.as_ref().is_none_or(|(name, _)| *name != wheel) {
            open = Some((wheel, ZipArchive::new(File::open(wheel)?)?));
        }
        let (_, archive) = open.as_mut().expect("it was just opened");
        let start = pending.len();
        bytes += archive.by_index(index)?.read_to_end(&mut pending)? as u64;
        hasher.update(&pending[start..]);
        let whole = pending.len() / MEMBER_SIZE * MEMBER_SIZE;
        compressed += pending[..whole].chunks(MEMBER_SIZE).map(&mut press).sum::<u64>();
        pending.drain(..whole);
    }
    compressed += press(&pending);
    std::hint::black_box(hasher.finalize());
    Ok((bytes, compressed))
}
