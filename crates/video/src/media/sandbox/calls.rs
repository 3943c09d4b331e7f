//! The filter of system calls: a deny list, since what decoders need differs from one C library to the next.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Refuses, for this process and whatever it becomes, what decoding a film never needs.
///
/// # Errors
/// What could not be installed.
pub(super) fn restrict() -> Result<(), String> {
    // On its own and first: the C library falls back to clone when clone3 is unknown, and a thread
    // that is refused with EPERM instead kills ffmpeg's decoders.
    install(vec![(libc::SYS_clone3, vec![])], libc::ENOSYS)?;
    install(refused_calls()?, libc::EPERM)
}

fn install(calls: Vec<(i64, Vec<SeccompRule>)>, errno: i32) -> Result<(), String> {
    let arch = std::env::consts::ARCH.try_into().map_err(|error| format!("no seccomp here: {error}"))?;
    let rules: BTreeMap<i64, Vec<SeccompRule>> = calls.into_iter().collect();
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno.unsigned_abs()), arch)
            .and_then(TryInto::try_into)
            .map_err(|error| format!("failed to build the filter of system calls: {error}"))?;
    seccompiler::apply_filter(&program)
        .map_err(|error| format!("failed to install the filter of system calls: {error}"))
}

fn refused_calls() -> Result<Vec<(i64, Vec<SeccompRule>)>, String> {
    let mut calls: Vec<(i64, Vec<SeccompRule>)> = REFUSED_CALLS.iter().map(|number| (*number, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    calls.extend(x32_calls());
    // A thread, but no process.
    calls.push((libc::SYS_clone, vec![only_if(0, SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64), 0)?]));
    // Reading a limit goes through the same call as setting one.
    calls.push((libc::SYS_prlimit64, vec![only_if(2, SeccompCmpOp::Ne, 0)?]));
    Ok(calls)
}

fn only_if(argument: u8, comparison: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, comparison, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(|error| format!("failed to build a rule for system calls: {error}"))
}

/// The same calls by their x32 numbers, which would pass a filter for 64-bit ones.
#[cfg(target_arch = "x86_64")]
fn x32_calls() -> impl Iterator<Item = (i64, Vec<SeccompRule>)> {
    const X32: i64 = 0x4000_0000;
    REFUSED_CALLS
        .iter()
        .copied()
        .chain(512..=547)
        .chain([libc::SYS_clone, libc::SYS_clone3, libc::SYS_prlimit64])
        .map(|number| (number | X32, Vec::new()))
}

/// What decoding a film never needs and breaking out of a cage does.
const REFUSED_CALLS: &[i64] = &[
    // Sockets: a Unix socket of the services would be in reach otherwise.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_setsockopt,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpgid,
    libc::SYS_setsid,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Large and rarely looked-at parts of the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
    // Files without a name, and what Landlock does not rule on.
    libc::SYS_memfd_create,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    // Limits, identities and the machine itself.
    libc::SYS_setrlimit,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_quotactl,
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sockets_and_processes_are_refused_by_all_their_numbers() {
        let calls = refused_calls().unwrap();
        for number in [libc::SYS_socket, libc::SYS_kill, libc::SYS_clone] {
            assert!(calls.iter().any(|(refused, _)| *refused == number), "{number}");
            #[cfg(target_arch = "x86_64")]
            assert!(calls.iter().any(|(refused, _)| *refused == number | 0x4000_0000), "x32 {number}");
        }
    }
}
