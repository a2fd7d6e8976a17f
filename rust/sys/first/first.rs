//! The first program in every new root: it executes the one that was asked for.
//!
//! Until a process executes something, `/proc/self/exe` is the program that made it. If that
//! were a file of the host, an image could have it executed once more, with libraries of its own
//! (`#!/proc/self/exe` is enough), and write to it. So the last thing of the host's that a new
//! process executes is this: static, without a line that an argument could turn against
//! somebody, in a sealed file in memory that is gone with the process.
//!
//! Its arguments: the descriptor of the channel to whoever waits for the outcome, the index that a
//! failure reports, how many candidates there are, the candidates, then the arguments of
//! the program itself. The environment is passed on. `child.rs` describes a failure's 12 bytes.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const ENAMETOOLONG: i32 = 36;
const ELOOP: i32 = 40;

/// The exit status of a process whose failure was reported, and of a program that is executed
/// without the orders of ours: a container whose program is `/proc/self/exe` ends with it.
const NOT_EXECUTABLE: usize = 126;
/// Set in a failure's detail when the candidate exists, but what it needs to be started does not.
const LACKS_INTERPRETER: u32 = 1 << 31;
/// The arguments before the first candidate: the own name, and three numbers.
const HEAD: usize = 4;

const PR_SET_DUMPABLE: usize = 4;
const AT_FDCWD: usize = -100_isize as usize;
const F_SETFD: usize = 2;
const FD_CLOEXEC: usize = 1;
const MSG_NOSIGNAL: usize = 0x4000;

#[cfg(target_arch = "x86_64")]
mod numbers {
    pub const SENDTO: usize = 44;
    pub const PRCTL: usize = 157;
    pub const EXECVE: usize = 59;
    pub const FCNTL: usize = 72;
    pub const EXIT_GROUP: usize = 231;
    pub const FACCESSAT: usize = 269;
}

#[cfg(target_arch = "aarch64")]
mod numbers {
    pub const SENDTO: usize = 206;
    pub const PRCTL: usize = 167;
    pub const EXECVE: usize = 221;
    pub const FCNTL: usize = 25;
    pub const EXIT_GROUP: usize = 94;
    pub const FACCESSAT: usize = 48;
}

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {main}",
    "brk #1",
    main = sym main,
);

/// Makes a system call; the result is negative for an error number.
///
/// # Safety
///
/// The arguments have to be what the call takes.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel changes no other register.
    unsafe {
        asm!(
            "syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b,
            in("rdx") c, in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// As above.
///
/// # Safety
///
/// The arguments have to be what the call takes.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel changes no other register.
    unsafe {
        asm!(
            "svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c,
            in("x3") d, in("x4") e, in("x5") f, options(nostack),
        );
    }
    result
}

/// Reads a decimal number; `None` if the text is none.
///
/// # Safety
///
/// The text ends with a zero byte.
unsafe fn number(mut text: *const u8) -> Option<usize> {
    let mut value = 0usize;
    let mut digits = 0;
    loop {
        // SAFETY: nothing is read behind the zero byte that the caller promises.
        let byte = unsafe { *text };
        if byte == 0 {
            break;
        }
        if !byte.is_ascii_digit() || digits == 9 {
            return None;
        }
        value = value.wrapping_mul(10).wrapping_add((byte - b'0') as usize);
        digits += 1;
        text = text.wrapping_add(1);
    }
    if digits == 0 { None } else { Some(value) }
}

fn exit() -> ! {
    loop {
        // SAFETY: takes no pointers, and does not return.
        unsafe { call(numbers::EXIT_GROUP, [NOT_EXECUTABLE, 0, 0, 0, 0, 0]) };
    }
}

/// Tries the candidates; returns the best reason why none could be executed.
///
/// # Safety
///
/// `candidates` are `count` C strings; the other two are arrays of C strings with a null
/// pointer at their end.
unsafe fn execute(
    candidates: *const *const u8,
    count: usize,
    argv: *const *const u8,
    environment: *const *const u8,
) -> (i32, u32) {
    let (mut reason, mut detail) = (ENOENT, 0u32);
    for place in 0..count {
        // SAFETY: `place` is below the number of candidates.
        let candidate = unsafe { *candidates.wrapping_add(place) } as usize;
        let words = [candidate, argv as usize, environment as usize, 0, 0, 0];
        // SAFETY: the caller vouches for the strings and arrays.
        let errno = unsafe { call(numbers::EXECVE, words) }.wrapping_neg() as i32;
        let is_not_here = matches!(errno, ENOENT | ENOTDIR);
        if is_not_here && reason == EACCES {
            continue;
        }
        // SAFETY: the candidate is a C string.
        let exists = || unsafe { call(numbers::FACCESSAT, [AT_FDCWD, candidate, 0, 0, 0, 0]) } == 0;
        if errno == ENOENT && exists() {
            (reason, detail) = (errno, place as u32 | LACKS_INTERPRETER);
        } else if (is_not_here || matches!(errno, ENAMETOOLONG | ELOOP)) && count > 1 {
            // In a search these say no more than "not here".
        } else if errno == EACCES {
            if reason != EACCES {
                (reason, detail) = (errno, place as u32);
            }
        } else {
            return (errno, place as u32);
        }
    }
    (reason, detail)
}

/// Where it all begins: the stack has the number of arguments, and pointers to them.
///
/// # Safety
///
/// `stack` is what the kernel leaves for a new program.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // Executing made it visible to its neighbours, who have no business with the channel.
    // SAFETY: takes no pointers.
    unsafe { call(numbers::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]) };
    // SAFETY: the kernel puts the number of arguments there.
    let count = unsafe { *stack };
    let argv = stack.wrapping_add(1) as *const *const u8;
    let environment = argv.wrapping_add(count).wrapping_add(1);
    if count < HEAD {
        exit();
    }
    let argument = |place: usize| {
        // SAFETY: there are at least HEAD arguments, all of them C strings.
        unsafe { number(*argv.wrapping_add(place)) }
    };
    let (Some(channel), Some(index), Some(candidates)) = (argument(1), argument(2), argument(3))
    else {
        exit();
    };
    if candidates > count.wrapping_sub(HEAD) {
        exit();
    }
    // What is executed must not inherit the channel, whose end says that it runs.
    // SAFETY: takes no pointers.
    if unsafe { call(numbers::FCNTL, [channel, F_SETFD, FD_CLOEXEC, 0, 0, 0]) } < 0 {
        exit();
    }
    let first = argv.wrapping_add(HEAD);
    // SAFETY: the number of candidates was checked; both arrays end with a null pointer.
    let (errno, detail) = unsafe {
        execute(
            first,
            candidates,
            first.wrapping_add(candidates),
            environment,
        )
    };
    let words = [index as u32, errno as u32, detail];
    let message = [
        channel,
        words.as_ptr() as usize,
        size_of_val(&words),
        MSG_NOSIGNAL,
        0,
        0,
    ];
    // SAFETY: the message is local, and its size is passed. Where sending fails nobody listens.
    unsafe { call(numbers::SENDTO, message) };
    exit()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit()
}
