/**
 * Addresses of names outside of the cluster (Services of type ExternalName). Whoever may make a Service must not reach by it what only listens
 * to this machine itself, or a cloud's own addresses: they are left out.
 */
import { lookup, type LookupAddress } from "node:dns";
import { BlockList, type LookupFunction } from "node:net";

const forbidden = new BlockList();
forbidden.addSubnet("127.0.0.0", 8);
forbidden.addSubnet("169.254.0.0", 16);
forbidden.addSubnet("0.0.0.0", 8);
forbidden.addAddress("::", "ipv6");
forbidden.addAddress("::1", "ipv6");
forbidden.addSubnet("fe80::", 10, "ipv6");

export const isForbidden = ({ address, family }: LookupAddress): boolean =>
  forbidden.check(address, family === 6 ? "ipv6" : "ipv4");

export const safeLookup: LookupFunction = (host, options, callback) => {
  lookup(host, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, "", 0);
    const allowed = addresses.filter((each) => !isForbidden(each));
    const [first] = allowed;
    if (!first) {
      const message = `${host} has no address outside of this machine`;
      return callback(Object.assign(new Error(message), { code: "EACCES" }), "", 0);
    }
    if (options.all) callback(null, allowed);
    else callback(null, first.address, first.family);
  });
};
