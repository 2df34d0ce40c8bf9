/* Ports for the tasks of clusters that share a host. */
#include "client/dev_task_ports.h"
#include "tests/lib/unit.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static struct error err;

static void take(struct task_ports *p)
{
    ck_assert_msg(task_ports_take(p, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(p->last, p->first + TASK_PORTS - 1);
    ck_assert_uint_ge(p->first, TASK_PORTS_FIRST);
}

START_TEST(test_each_has_its_own)
{
    enum { HELD = 5 };
    struct task_ports held[HELD];

    for (int i = 0; i < HELD; i++) {
        take(&held[i]);
        for (int before = 0; before < i; before++)
            ck_assert_uint_ne(held[i].first, held[before].first);
    }
    for (int i = 0; i < HELD; i++)
        task_ports_release(&held[i]);
}
END_TEST

START_TEST(test_where_somebody_listens_is_passed_over)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct task_ports first, second;

    take(&first);
    address.sin_port = htons((uint16_t)(first.first + 3));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    task_ports_release(&first);
    take(&second);
    ck_assert_uint_ne(second.first, first.first);
    task_ports_release(&second);
    close(fd);
}
END_TEST

UNIT_MAIN("dev_task_ports",
          unit_case("blocks",
                    test_each_has_its_own,
                    test_where_somebody_listens_is_passed_over))
