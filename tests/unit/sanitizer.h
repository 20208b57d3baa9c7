/*
 * sanitizer.h - whether a test is compiled with a sanitizer, which takes part in what few tests look at:
 * terabytes of addresses, frames at a thread's beginning, what clone() does.
 */
#ifndef HARK_TESTS_UNIT_SANITIZER_H
#define HARK_TESTS_UNIT_SANITIZER_H

#if defined(__SANITIZE_THREAD__)
#define CASE_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#define CASE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CASE_THREAD_SANITIZER 1
#elif __has_feature(address_sanitizer)
#define CASE_SANITIZER 1
#endif
#endif
#ifdef CASE_THREAD_SANITIZER
#define CASE_SANITIZER 1
#endif

#endif
