#!/usr/bin/env bash
# Runs a command in an unpacked image as Kubernetes does under the "restricted" standard: as 10001, without a capability
# or a way to one, on a root that is read-only, with a /tmp that is not, without a network. In a namespace of its own:
#   unshare --mount --pid --fork --net --ipc --uts tests/image/run_in.sh ROOT COMMAND…
set -eu
root=$1
shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o nosuid,nodev,noexec,mode=1777,size=64m tmpfs "$root/tmp"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
cd "$root"
exec env -i PATH=/usr/local/bin:/usr/bin:/bin XDG_CACHE_HOME=/tmp/cache /usr/sbin/chroot "$root" \
    setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
