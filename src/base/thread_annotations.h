// SPDX-License-Identifier: Apache-2.0
// What clang's -Wthread-safety is told about locks (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). A member
// says which lock guards it, a function says which lock its caller holds, and `./dev check` fails if the code breaks
// this. For other compilers the macros are empty.
#pragma once

#ifdef __clang__
#define TAILGATE_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define TAILGATE_THREAD_ATTRIBUTE(x)
#endif

// Of a class: it is a lock, or holds one for as long as it lives.
#define TAILGATE_LOCKABLE TAILGATE_THREAD_ATTRIBUTE(capability("mutex"))
#define TAILGATE_SCOPED_LOCK TAILGATE_THREAD_ATTRIBUTE(scoped_lockable)
// Of a member: it is read and written under this lock only.
#define TAILGATE_GUARDED_BY(lock) TAILGATE_THREAD_ATTRIBUTE(guarded_by(lock))
// Of a function: its caller holds the lock; it takes it; it gives it back.
#define TAILGATE_REQUIRES(...) TAILGATE_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define TAILGATE_ACQUIRE(...) TAILGATE_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TAILGATE_RELEASE(...) TAILGATE_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
// Of a function: the analysis leaves it out. The comment beside it says why the code is right.
#define TAILGATE_NOT_ANALYSED TAILGATE_THREAD_ATTRIBUTE(no_thread_safety_analysis)
