#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A binary Debian package of what is built: scripts/deb.sh BUILD VERSION
# writes BUILD/rsip_VERSION_ARCHITECTURE.deb. The service is not started by the
# installation: it has to be told its interfaces and addresses first.
set -eu
cd "$(dirname "$0")/.."
if [ $# -ne 2 ]; then
	echo "usage: scripts/deb.sh BUILD VERSION" >&2
	exit 2
fi
build=$1 version=$2
arch=$(dpkg --print-architecture)
package=$build/rsip_${version}_$arch.deb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/debian/rsip
doc=$root/usr/share/doc/rsip
umask 022

scripts/install.sh "$build" "$root" /usr >/dev/null
strip --strip-unneeded --remove-section=.comment "$root"/usr/sbin/* "$root"/usr/bin/*
find "$root/usr/share/man" -type f -exec gzip -9n {} +
rm "$doc/LICENSE"
cat >"$doc/copyright" <<END
The RSIP gateway and host. Licence: GPL-2.0-only, whose text is in
/usr/share/common-licenses/GPL-2.
END
gzip -9n >"$doc/changelog.gz" <<END
rsip ($version) unstable; urgency=medium

  * See the history of the source repository.

 -- The RSIP project <rsip@localhost>  $(date -R -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
END

# The libraries the programs are linked with, in the versions they need.
mkdir "$root/DEBIAN"
printf 'Source: rsip\n\nPackage: rsip\nArchitecture: any\n' >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O debian/rsip/usr/sbin/* debian/rsip/usr/bin/* | sed -n 's/^shlibs:Depends=//p')

cat >"$root/DEBIAN/control" <<END
Package: rsip
Version: $version
Architecture: $arch
Maintainer: The RSIP project <rsip@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Depends: $depends
Recommends: iproute2
Suggests: strongswan-charon
Section: net
Priority: optional
Description: Realm Specific IP: hosts lease public addresses, ports and SPIs
 An RSIP gateway (RFC 3103, RFC 3104) lends parts of public IPv4 addresses to
 the hosts behind it: ports, and the SPIs of IPsec. Packets reach the hosts
 unchanged, so that ESP, AH and IKE of several hosts work through one address
 without NAT traversal.
 .
 rsipd is the gateway: it forwards in XDP programs that it loads and fills.
 rsip is the host, rsipctl the operator's tool.
END
echo /etc/rsip/rsipd.yaml >"$root/DEBIAN/conffiles"

cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart rsipd.service
fi
if [ "$1" = configure ] && [ -z "$2" ]; then
	echo "rsip: set interfaces and pools in /etc/rsip/rsipd.yaml, then: systemctl enable --now rsipd"
fi
END
cat >"$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now rsipd.service
fi
END
cat >"$root/DEBIAN/postrm" <<'END'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
if [ "$1" = purge ]; then
	rm -rf /var/lib/rsip
fi
END
chmod 755 "$root"/DEBIAN/p*
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
echo "  DEB    $package"
