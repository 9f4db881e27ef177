#!/bin/sh
# Becomes systemd as PID 1, in a room of its own: this machine's system under an overlay that is thrown away afterwards.
# Run it as root in new mount, PID, network, UTS, IPC and cgroup name spaces. Usage: room.sh FOLDER WHEELS
set -eu
folder=$1
wheels=$2
root=$folder/root
mount -t tmpfs -o mode=0755 tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" overlay "$root"

# What belongs to the kernel can be read, and not changed: it is the machine's.
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755,nosuid tmpfs "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"

# No disk is mounted, and nothing starts that would touch the machine: its clock, its devices, its network.
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
rm -rf "$root/var/log/journal" "$root/etc/tidegate" "$root/var/lib/tidegate" "$root/opt/tidegate"
rm -f "$root/etc/systemd/system/tidegate.service"
mkdir -p "$root/run/systemd/system" "$root/mnt/wheels" "$root/run/outside"
for unit in timesyncd udevd udev-trigger modules-load sysctl binfmt networkd resolved; do
    ln -s /dev/null "$root/run/systemd/system/systemd-$unit.service"
done
mount --bind "$wheels" "$root/mnt/wheels"

cd "$root"
pivot_root . run/outside
# systemd's own helpers mount things for it (credentials), which have to be seen by it. Out of the room nothing is.
without=-sys_time,-sys_module,-sys_rawio,-sys_boot,-mknod
exec chroot . /bin/sh -c "umount -l /run/outside && mount --make-rshared / && \
    exec env -i container=tidegate-room PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    setpriv --bounding-set=$without --inh-caps=$without /lib/systemd/systemd --system --unit=basic.target --log-target=journal"
