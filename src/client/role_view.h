/* role_view.h - roles as people and programs are shown them. */
#ifndef CLIENT_ROLE_VIEW_H
#define CLIENT_ROLE_VIEW_H

#include "client/session.h"

/* All roles: what each uses and may use, side by side, and what decides who is next. */
int role_view_all(struct session *s, struct error *err);
/* One with all its settings; ERROR_NOT_FOUND if there is none. */
int role_view_one(struct session *s, const char *name, struct error *err);
/* The same without showing it. */
int role_view_find(struct session *s, const char *name, struct error *err);

#endif
