//! Which Debian package supplies the libraries that wheels leave to the system.
//!
//! A wheel's tag promises that it needs nothing but these (`manylinux`), or its maintainers simply expect them; so too
//! what CPython's own extension modules are linked to where it is built on a distribution. The
//! names are those from before 2024: where a package was renamed since (`…t64`), the new one provides the old name.
//! Other libraries are looked for in the archive's own index of contents, not here.
//!
//! Spec: <https://github.com/pypa/auditwheel/blob/main/src/auditwheel/policy/manylinux-policy.json>

/// Returns the package that supplies a library, none for one that no manylinux wheel may leave out.
///
/// Only the package's name is looked up; it resolves through `Provides` where a suite renamed it.
pub fn package_for_soname(soname: &str) -> Option<&'static str> {
    let position = PACKAGES.binary_search_by_key(&soname, |(soname, _)| soname);
    position.ok().map(|position| PACKAGES[position].1)
}

/// Soname and package, in the order of the sonames' bytes.
const PACKAGES: [(&str, &str); 71] = [
    ("ld-linux-aarch64.so.1", "libc6"),
    ("ld-linux-x86-64.so.2", "libc6"),
    ("libEGL.so.1", "libegl1"),
    ("libGL.so.1", "libgl1"),
    ("libGLU.so.1", "libglu1-mesa"),
    ("libGLX.so.0", "libglx0"),
    ("libGLdispatch.so.0", "libglvnd0"),
    ("libICE.so.6", "libice6"),
    ("libOpenGL.so.0", "libopengl0"),
    ("libSM.so.6", "libsm6"),
    ("libX11-xcb.so.1", "libx11-xcb1"),
    ("libX11.so.6", "libx11-6"),
    ("libXau.so.6", "libxau6"),
    ("libXcursor.so.1", "libxcursor1"),
    ("libXdmcp.so.6", "libxdmcp6"),
    ("libXext.so.6", "libxext6"),
    ("libXfixes.so.3", "libxfixes3"),
    ("libXi.so.6", "libxi6"),
    ("libXinerama.so.1", "libxinerama1"),
    ("libXrandr.so.2", "libxrandr2"),
    ("libXrender.so.1", "libxrender1"),
    ("libXt.so.6", "libxt6"),
    ("libanl.so.1", "libc6"),
    ("libasound.so.2", "libasound2"),
    ("libatomic.so.1", "libatomic1"),
    ("libbz2.so.1.0", "libbz2-1.0"),
    ("libc.so.6", "libc6"),
    ("libcrypt.so.1", "libcrypt1"),
    ("libcrypto.so.3", "libssl3"),
    ("libdb-5.3.so", "libdb5.3"),
    ("libdbus-1.so.3", "libdbus-1-3"),
    ("libdl.so.2", "libc6"),
    ("libexpat.so.1", "libexpat1"),
    ("libffi.so.8", "libffi8"),
    ("libfontconfig.so.1", "libfontconfig1"),
    ("libfreetype.so.6", "libfreetype6"),
    ("libgcc_s.so.1", "libgcc-s1"),
    ("libgdbm.so.6", "libgdbm6"),
    ("libgdbm_compat.so.4", "libgdbm-compat4"),
    ("libgfortran.so.5", "libgfortran5"),
    ("libgio-2.0.so.0", "libglib2.0-0"),
    ("libglib-2.0.so.0", "libglib2.0-0"),
    ("libgmodule-2.0.so.0", "libglib2.0-0"),
    ("libgobject-2.0.so.0", "libglib2.0-0"),
    ("libgomp.so.1", "libgomp1"),
    ("libgthread-2.0.so.0", "libglib2.0-0"),
    ("liblzma.so.5", "liblzma5"),
    ("libm.so.6", "libc6"),
    ("libmvec.so.1", "libc6"),
    ("libncursesw.so.6", "libncursesw6"),
    ("libnsl.so.1", "libc6"),
    ("libnsl.so.2", "libnsl2"),
    ("libpanelw.so.6", "libncursesw6"),
    ("libpthread.so.0", "libc6"),
    ("libquadmath.so.0", "libquadmath0"),
    ("libreadline.so.8", "libreadline8"),
    ("libresolv.so.2", "libc6"),
    ("librt.so.1", "libc6"),
    ("libsqlite3.so.0", "libsqlite3-0"),
    ("libssl.so.3", "libssl3"),
    ("libstdc++.so.6", "libstdc++6"),
    ("libthread_db.so.1", "libc6"),
    ("libtinfo.so.6", "libtinfo6"),
    ("libtirpc.so.3", "libtirpc3"),
    ("libutil.so.1", "libc6"),
    ("libuuid.so.1", "libuuid1"),
    ("libxcb.so.1", "libxcb1"),
    ("libxkbcommon-x11.so.0", "libxkbcommon-x11-0"),
    ("libxkbcommon.so.0", "libxkbcommon0"),
    ("libz.so.1", "zlib1g"),
    ("libzstd.so.1", "libzstd1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_it_can_be_searched() {
        assert!(PACKAGES.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn what_manylinux_leaves_to_the_system_has_a_package() {
        let left = "libm.so.6 libnsl.so.1 libgcc_s.so.1 libstdc++.so.6 libatomic.so.1 libz.so.1 libexpat.so.1 \
            libGL.so.1 libX11.so.6 libXext.so.6 libXrender.so.1 libICE.so.6 libSM.so.6 libglib-2.0.so.0 \
            libgobject-2.0.so.0 libgthread-2.0.so.0";
        for soname in left.split_whitespace() {
            assert!(package_for_soname(soname).is_some(), "{soname}");
        }
        assert_eq!(package_for_soname("libopenblas.so.0"), None);
    }
}
