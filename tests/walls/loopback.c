/* Sends one UDP datagram from inside a container, past what the kernel there thinks of its
 * addresses.
 *
 *   frame SOURCE TARGET PORT   as an Ethernet frame of its own making (CAP_NET_RAW)
 *   bound SOURCE TARGET PORT   from an ordinary socket that is bound to the interface
 *
 * Both leave through the interface of the default route, for the hardware address of the
 * default gateway. `own` as the source is the address of that interface.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT "let me in"

static char device[IFNAMSIZ] = "eth0";
static char gateway[64] = "";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void find_route(void)
{
    char line[256], name[32];
    unsigned destination, next;
    FILE *table = fopen("/proc/net/route", "r");
    while (table && fgets(line, sizeof line, table))
        if (sscanf(line, "%31s %x %x", name, &destination, &next) == 3 && !destination) {
            struct in_addr address = {next};
            strncpy(device, name, IFNAMSIZ - 1);
            strcpy(gateway, inet_ntoa(address));
        }
}

/* Ask the gateway for its hardware address by sending it something. */
static void find_gateway(unsigned char *mac)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, gateway, &to.sin_addr);
    int probe = socket(AF_INET, SOCK_DGRAM, 0);
    for (int round = 0; round < 100; round++) {
        char line[256], address[64], hardware[32];
        sendto(probe, "", 1, 0, (struct sockaddr *)&to, sizeof to);
        usleep(20000);
        FILE *table = fopen("/proc/net/arp", "r");
        while (table && fgets(line, sizeof line, table))
            if (sscanf(line, "%63s %*s %*s %31s", address, hardware) == 2 &&
                !strcmp(address, gateway) && strcmp(hardware, "00:00:00:00:00:00")) {
                sscanf(hardware, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3,
                       mac + 4, mac + 5);
                return;
            }
        fclose(table);
    }
    fprintf(stderr, "the gateway %s does not answer\n", gateway);
    exit(1);
}

static uint16_t folded(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static uint32_t summed(const unsigned char *data, size_t length, uint32_t sum)
{
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += data[i] << 8 | data[i + 1];
    return length & 1 ? sum + (data[length - 1] << 8) : sum;
}

static void put16(unsigned char *at, uint16_t value)
{
    at[0] = value >> 8;
    at[1] = value & 255;
}

static void send_frame(const char *source, const char *target, int port)
{
    int family = strchr(target, ':') ? AF_INET6 : AF_INET;
    size_t size = family == AF_INET6 ? 16 : 4, header = family == AF_INET6 ? 40 : 20;
    size_t udp = 8 + strlen(TEXT);
    unsigned char frame[256] = {0}, *ip = frame + 14, *from, *to, *datagram = ip + header;
    find_gateway(frame);

    struct ifreq request = {0};
    int link = socket(AF_PACKET, SOCK_RAW, htons(0x0003));
    if (link < 0)
        die("a packet socket");
    strcpy(request.ifr_name, device);
    if (ioctl(link, SIOCGIFHWADDR, &request))
        die("the own hardware address");
    memcpy(frame + 6, request.ifr_hwaddr.sa_data, 6);
    put16(frame + 12, family == AF_INET6 ? 0x86dd : 0x0800);
    if (family == AF_INET6) {
        ip[0] = 0x60;
        put16(ip + 4, udp);
        ip[6] = 17;
        ip[7] = 64;
        from = ip + 8;
    } else {
        ip[0] = 0x45;
        put16(ip + 2, header + udp);
        ip[8] = 64;
        ip[9] = 17;
        from = ip + 12;
    }
    to = from + size;
    if (!strcmp(source, "own") && family == AF_INET) {
        if (ioctl(link, SIOCGIFADDR, &request))
            die("the own address");
        memcpy(from, &((struct sockaddr_in *)&request.ifr_addr)->sin_addr, 4);
    } else if (inet_pton(family, source, from) != 1)
        die("an address");
    if (inet_pton(family, target, to) != 1)
        die("an address");
    if (family == AF_INET)
        put16(ip + 10, folded(summed(ip, header, 0)));
    put16(datagram, 40000);
    put16(datagram + 2, port);
    put16(datagram + 4, udp);
    memcpy(datagram + 8, TEXT, strlen(TEXT));
    put16(datagram + 6, folded(summed(datagram, udp, summed(from, 2 * size, 17 + udp))));

    struct sockaddr_ll place = {.sll_family = AF_PACKET, .sll_halen = 6};
    place.sll_ifindex = if_nametoindex(device);
    memcpy(place.sll_addr, frame, 6);
    if (sendto(link, frame, 14 + header + udp, 0, (struct sockaddr *)&place, sizeof place) < 0)
        die("sending");
}

static void send_bound(const char *target, int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int from = socket(AF_INET, SOCK_DGRAM, 0);
    inet_pton(AF_INET, target, &to.sin_addr);
    if (setsockopt(from, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device)))
        die("binding to the interface");
    if (sendto(from, TEXT, strlen(TEXT), 0, (struct sockaddr *)&to, sizeof to) < 0)
        die("sending");
    usleep(200000); /* The kernel asks for the hardware address first. */
}

int main(int count, char **words)
{
    if (count != 5)
        return 2;
    find_route();
    if (!strcmp(words[1], "frame"))
        send_frame(words[2], words[3], atoi(words[4]));
    else
        send_bound(words[3], atoi(words[4]));
    return 0;
}
