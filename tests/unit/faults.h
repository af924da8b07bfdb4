/* Making what writes a file fail: the program's own open, write, fsync, close
 * and rename stand before the C library's, and one call of them can be told to
 * fail. What stdio writes does not go through here. */
#ifndef NETC_FAULTS_H
#define NETC_FAULTS_H

/* The calls since, that could fail: a file made, written, synced, closed or
 * renamed. From here on the one of that number (from 0) fails with `error`, or,
 * if that is 0, is a write of half the bytes. at -1: none fails. */
void faults_arm(int at, int error);
int faults_calls(void);
/* The same for memory: malloc, calloc and realloc, also those that libraries
 * call. They are counted and fail where FAULTS_MEMORY is 1 alone: sanitizers
 * have allocators of their own. */
void faults_arm_memory(int at);
int faults_allocations(void);
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define FAULTS_MEMORY 0
#else
#define FAULTS_MEMORY 1
#endif

#endif
