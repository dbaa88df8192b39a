# The guardian's whole program, for Linux on x86_64: `forked.rs` does the same and says it in Rust.
#
# It runs in a process of its own, at any address, on its first stack, and never in the process that
# it is part of: there it is bytes. It makes system calls only; they keep all registers but rax, rcx
# and r11.
#
#   rbx   the table: the group of each slot, 32 bits each, zero for none
#   r12d  the signal that is sent
#   r14   how many more times the groups are looked at before SIGKILL
#   r15d  whether any group was there

# A program may hold this crate twice, as its own tests do; then both use the one that comes first.
# The number in the names changes with what the last words mean.

    .ifndef lastline_guardian_1_begin
    .pushsection .rodata.lastline_guardian, "a", @progbits
    .weak lastline_guardian_1_begin
    .hidden lastline_guardian_1_begin
    .weak lastline_guardian_1_end
    .hidden lastline_guardian_1_end
    .balign 16
lastline_guardian_1_begin:
    mov eax, 436                    # close_range(1, all, 0)
    mov edi, 1
    mov esi, -1
    xor edx, edx
    syscall
    mov eax, 157                    # prctl(PR_SET_NAME, name)
    mov edi, 15
    lea rsi, [rip + .Lname]
    syscall
    mov eax, 9                      # mmap(none, bytes, read | write, private | anonymous, -1, 0)
    xor edi, edi
    mov rsi, [rip + .Lslots]
    shl rsi, 2
    mov edx, 3
    mov r10d, 0x22
    mov r8, -1
    xor r9d, r9d
    syscall
    cmp rax, -4095
    jae .Lleave
    mov rbx, rax
    sub rsp, 32

.Lhear:
    xor eax, eax                    # read(0, message, 12)
    xor edi, edi
    mov rsi, rsp
    mov edx, 12
    syscall
    cmp rax, -4                     # EINTR
    je .Lhear
    cmp rax, 12                     # the end: whoever started this is dead
    jne .Lend_groups
    cmp dword ptr [rsp], 1          # SET; everything else is a farewell
    jne .Lleave
    mov eax, [rsp + 4]
    cmp rax, [rip + .Lslots]
    jae .Lhear
    mov ecx, [rsp + 8]
    mov [rbx + 4 * rax], ecx
    jmp .Lhear

.Lend_groups:
    mov r12d, 15                    # SIGTERM
    call .Lsignal
    mov r12d, 18                    # SIGCONT: what stands hears nothing else
    call .Lsignal
    mov r14, [rip + .Llooks]
    xor r12d, r12d                  # only looks
.Llook:
    call .Lsignal
    test r15d, r15d
    jz .Lleave
    test r14, r14
    jz .Lkill
    dec r14
    mov qword ptr [rsp], 0          # nanosleep(20 ms, none)
    mov qword ptr [rsp + 8], 20000000
    mov eax, 35
    mov rdi, rsp
    xor esi, esi
    syscall
    jmp .Llook
.Lkill:
    mov r12d, 9                     # SIGKILL
    call .Lsignal
.Lleave:
    mov eax, 231                    # exit_group(0)
    xor edi, edi
    syscall
    hlt

# Signals every group that is still there.
.Lsignal:
    xor r15d, r15d
    xor r13d, r13d
.Lslot:
    cmp r13, [rip + .Lslots]
    jae .Lsignalled
    mov edi, [rbx + 4 * r13]
    test edi, edi
    jz .Lnext
    neg edi
    mov eax, 62                     # kill(-group, signal)
    mov esi, r12d
    syscall
    cmp rax, -3                     # ESRCH
    je .Lgone
    mov r15d, 1
.Lnext:
    inc r13
    jmp .Lslot
.Lgone:
    mov dword ptr [rbx + 4 * r13], 0
    jmp .Lnext
.Lsignalled:
    ret

.Lname:
    .asciz "lastline-guard"
    .balign 8
# Whoever writes the file fills both in: they are its last bytes.
.Lslots:
    .quad 0
.Llooks:
    .quad 0
lastline_guardian_1_end:
    .popsection
    .endif
