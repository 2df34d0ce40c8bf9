/* standard_files.h - the descriptors 0, 1 and 2 belong to input, output and errors.
 *
 * A program may be started with some of them closed (`>&-`).  Then the next file or socket that
 * it opens gets such a number, and what is printed or logged goes into it.
 */
#ifndef BASE_STANDARD_FILES_H
#define BASE_STANDARD_FILES_H

/* First thing in main(): fills what is closed with something that can be neither read nor
 * written, so that printing fails with an error instead. */
void standard_files_reserve(void);

#endif
