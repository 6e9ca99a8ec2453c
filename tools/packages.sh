# SPDX-License-Identifier: BSD-2-Clause
# Sourced by tools/run and tools/test: what is needed, and how to get it.

build_packages=(g++ cmake ninja-build pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libseccomp-dev libzstd-dev
                libcli11-dev nlohmann-json3-dev libfmt-dev iproute2 procps)
# dpkg-dev and file: CPack asks them what the package depends on.
test_packages=(libgtest-dev libbenchmark-dev python3 dpkg-dev file groff curl clang-tidy clang-format libclang-rt-dev)
# For the kernels of tests/vm, on the processor that they are for.
if [ "$(uname -m)" = x86_64 ]; then test_packages+=(qemu-system-x86 debian-archive-keyring); fi

# install_packages NAME...: installs those that are missing (Debian, Ubuntu); elsewhere names them.
install_packages() {
	local missing=() name
	if ! command -v dpkg-query >/dev/null; then
		local command
		for command in g++ cmake ninja pkg-config clang llvm-strip bpftool ip python3; do
			command -v "$command" >/dev/null || missing+=("$command")
		done
		[ ${#missing[@]} -eq 0 ] && return 0
		printf 'tcptrail: error: missing: %s\n' "${missing[*]}" >&2
		printf '  why: packages are installed by themselves on Debian and Ubuntu only\n' >&2
		printf '  fix: install what these Debian packages hold: %s\n' "$*" >&2
		return 1
	fi
	for name in "$@"; do
		# Ubuntu before 25.04 has bpftool in linux-tools.
		if [ "$name" = bpftool ] && command -v bpftool >/dev/null; then continue; fi
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name")
	done
	[ ${#missing[@]} -eq 0 ] && return 0
	if [ "$(id -u)" -ne 0 ]; then
		printf 'tcptrail: error: missing packages: %s\n  fix: run with sudo, or: apt-get install %s\n' \
			"${missing[*]}" "${missing[*]}" >&2
		return 1
	fi
	printf 'installing: %s\n' "${missing[*]}" >&2
	apt-get update -qq >&2
	if [[ " ${missing[*]} " == *" bpftool "* ]] && ! apt-cache show bpftool >/dev/null 2>&1; then
		missing=("${missing[@]/bpftool/linux-tools-generic}")
	fi
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# build_preset PRESET TARGET... [-- CMAKE OPTION...]: configures and builds these targets. On a
# terminal with ninja's progress; else only what goes wrong is shown.
build_preset() {
	local preset=$1 targets=() log
	shift
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		targets+=("$1")
		shift
	done
	shift $(($# > 0))
	log=$(mktemp)
	if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
	local build=(cmake --build --preset "$preset" --target "${targets[@]}" -j "$(nproc)")
	local status=0
	if [ -t 2 ]; then
		"${build[@]}" >&2 || status=$?
	else
		"${build[@]}" >"$log" 2>&1 || { status=$?; cat "$log" >&2; }
	fi
	rm -f "$log"
	return $status
}

# What sudo has built belongs to the user who called it: their next build overwrites it.
give_back_build() {
	[ "$(id -u)" -ne 0 ] || [ -z "${SUDO_UID:-}" ] || [ ! -d build ] || chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" build
}
