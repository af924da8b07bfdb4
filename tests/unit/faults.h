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
/* Whether the one that was told to fail has come. */
int faults_hit(void);

#endif
