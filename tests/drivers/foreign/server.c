/* A Modbus server on libmodbus, with tables from the command line.
 * Usage: server HOST UNIT HOLDING INPUT COILS DISCRETE     words as hex, bits as 0 and 1
 * It prints its port. One connection at a time, as many devices have it.
 * HOST may be the path of a serial port: then it is an RTU unit, 19200 baud 8N1, and prints 0. */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_words(const char *text, uint16_t *words)
{
    unsigned value;

    for (; sscanf(text, "%4x", &value) == 1; text += 4)
        *words++ = (uint16_t)value;
}

static void set_bits(const char *text, uint8_t *bits)
{
    for (; *text; text++)
        *bits++ = *text == '1';
}

static int port_of(int listening)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(listening, (struct sockaddr *)&address, &length) != 0)
        return -1;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

int main(int argc, char **argv)
{
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_mapping_t *map;
    modbus_t *context;
    int listening, length;

    if (argc != 7) {
        fprintf(stderr, "usage: server HOST UNIT HOLDING INPUT COILS DISCRETE\n");
        return 2;
    }
    context = argv[1][0] == '/' ? modbus_new_rtu(argv[1], 19200, 'N', 8, 1) : modbus_new_tcp_pi(argv[1], "0");
    map = modbus_mapping_new((int)strlen(argv[5]), (int)strlen(argv[6]), (int)strlen(argv[3]) / 4,
                             (int)strlen(argv[4]) / 4);
    if (context == NULL || map == NULL)
        return 1;
    set_words(argv[3], map->tab_registers);
    set_words(argv[4], map->tab_input_registers);
    set_bits(argv[5], map->tab_bits);
    set_bits(argv[6], map->tab_input_bits);
    modbus_set_slave(context, atoi(argv[2]));
    if (argv[1][0] == '/') {
        if (modbus_connect(context) != 0) {
            fprintf(stderr, "%s\n", modbus_strerror(errno));
            return 1;
        }
        printf("0\n");
        fflush(stdout);
        for (;;)
            if ((length = modbus_receive(context, query)) > 0)
                modbus_reply(context, query, length, map);
    }
    listening = modbus_tcp_pi_listen(context, 1);
    if (listening < 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    printf("%d\n", port_of(listening));
    fflush(stdout);
    while (modbus_tcp_pi_accept(context, &listening) >= 0) {
        while ((length = modbus_receive(context, query)) >= 0)
            if (length > 0)
                modbus_reply(context, query, length, map);
        modbus_close(context);
    }
    return 0;
}
