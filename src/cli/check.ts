/**
 * The preflight, as data: what was found on this machine, what is needed, and the command that mends it.
 * `up` runs it first and stops on a fatal finding; `sampan check` prints all of it.
 */
export interface MachineFacts {
  readonly platform: string;
  readonly nodeVersion: string;
  readonly userId: number;
  /** Where each program is; undefined when it is missing. */
  readonly programs: Readonly<Record<string, string | undefined>>;
  readonly containerdVersion: string | undefined;
  /** What `containerd --version` complained of. */
  readonly containerdFailure?: string | undefined;
  readonly cniDirectory: string | undefined;
  readonly cniPlugins: readonly string[];
  readonly cgroups: "v1" | "hybrid" | "v2" | "none";
  readonly cgroupControllers: readonly string[];
  readonly filesystems: readonly string[];
  readonly canLowerOomScore: boolean;
  readonly inotifyInstancesMax: number;
  readonly freeBytes: number;
  readonly dataDirectory: string;
  /** Who holds the API server's port; undefined when it is free. */
  readonly portHolder: string | undefined;
  readonly port: number;
  /** Who else decides about packets between pods and other machines, and drops them unless told otherwise; missing: not looked at. */
  readonly forwardDrops?: readonly string[];
}

export interface Finding {
  readonly name: string;
  readonly found: string;
  readonly needed: string;
  /** `warning`: works, with what `needed` says missing. */
  readonly verdict: "ok" | "warning" | "fatal";
  readonly mend?: string;
}

const cniNeeded = ["bridge", "host-local", "loopback", "portmap"];
const controllersNeeded = ["cpu", "memory", "pids"];
const freeBytesMin = 1024 ** 3;
const inotifyInstancesMin = 256;

export function assess(facts: MachineFacts): Finding[] {
  const findings: Finding[] = [
    judge("Node.js", facts.nodeVersion, "26 or newer", Number.parseInt(facts.nodeVersion.replace(/^v/, ""), 10) >= 26, {
      mend: "npm start (it installs Node.js 26 for this project)",
    }),
    judge(
      `port ${facts.port}`,
      facts.portHolder ? `held by ${facts.portHolder}` : "free",
      "free",
      facts.portHolder === undefined,
      { mend: "stop that process, or pass --secure-port N" },
    ),
    judge(
      "free space",
      `${gibibytes(facts.freeBytes)} in ${facts.dataDirectory}`,
      "1 GiB",
      facts.freeBytes >= freeBytesMin,
      {
        mend: "make room, or pass --data-dir PATH",
      },
    ),
  ];
  const aptInstall = (name: string) => ({ mend: `apt-get install -y ${name}` });
  const program = (name: string, packageName: string) =>
    judge(
      name,
      facts.programs[name] ?? "missing",
      "installed",
      facts.programs[name] !== undefined,
      aptInstall(packageName),
    );
  const plugins = cniNeeded.filter((plugin) => !facts.cniPlugins.includes(plugin));
  const controllers = controllersNeeded.filter((name) => !facts.cgroupControllers.includes(name));
  findings.push(
    judge("operating system", facts.platform, "linux", facts.platform === "linux", {
      mend: "run it in a Linux machine or virtual machine",
    }),
    judge("user", facts.userId === 0 ? "root" : `uid ${facts.userId}`, "root", facts.userId === 0, {
      mend: "sudo npm start",
    }),
    facts.containerdFailure === undefined
      ? {
          ...program("containerd", "containerd"),
          found: facts.containerdVersion ?? facts.programs.containerd ?? "missing",
        }
      : judge(
          "containerd",
          `${facts.programs.containerd} does not run: ${facts.containerdFailure}`,
          "installed",
          false,
          {
            mend: "apt-get install --reinstall -y containerd",
          },
        ),
    program("runc", "runc"),
    program("nft", "nftables"),
    program("ip", "iproute2"),
    program("catatonit", "catatonit"),
    judge(
      "CNI plugins",
      plugins.length > 0 ? `missing ${plugins.join(", ")}` : (facts.cniDirectory ?? ""),
      cniNeeded.join(", "),
      plugins.length === 0,
      aptInstall("containernetworking-plugins"),
    ),
    judge(
      "cgroups",
      `${facts.cgroups}${controllers.length > 0 ? `, without ${controllers.join(", ")}` : ""}`,
      controllersNeeded.join(", "),
      controllers.length === 0,
      {
        verdict: "warning",
        mend: "enable these controllers in the kernel's command line; until then their limits are not enforced",
      },
    ),
    judge(
      "overlayfs",
      facts.filesystems.includes("overlay") ? "there" : "missing",
      "there",
      facts.filesystems.includes("overlay"),
      {
        verdict: "warning",
        mend: "modprobe overlay; without it images are copied (snapshotter native)",
      },
    ),
    judge(
      "oom score",
      facts.canLowerOomScore ? "may be lowered" : "may not be lowered",
      "CAP_SYS_RESOURCE",
      facts.canLowerOomScore,
      {
        verdict: "warning",
        mend: "give this container CAP_SYS_RESOURCE; without it containers keep this process's score",
      },
    ),
    judge(
      "inotify instances",
      String(facts.inotifyInstancesMax),
      String(inotifyInstancesMin),
      facts.inotifyInstancesMax >= inotifyInstancesMin,
      {
        verdict: "warning",
        mend: "sysctl -w fs.inotify.max_user_instances=1024",
      },
    ),
    judge("kubectl", facts.programs.kubectl ?? "missing", "installed", facts.programs.kubectl !== undefined, {
      verdict: "warning",
      mend: "apt-get install -y kubernetes-client",
    }),
  );
  const { forwardDrops } = facts;
  if (forwardDrops)
    findings.push(
      judge("forwarding", forwardDrops.join(", ") || "nobody drops", "no chain that drops", forwardDrops.length === 0, {
        verdict: "warning",
        mend: `have these let pods' packets through, which no rule of ours can: ${letThrough(forwardDrops)}`,
      }),
    );
  return findings;
}

/** One command for each kind of firewall. */
const letThrough = (found: readonly string[]): string =>
  found.some((name) => name.includes("firewalld"))
    ? "firewall-cmd --permanent --zone=trusted --add-interface=sampan0 --add-interface=sampan-vx0 && firewall-cmd --reload"
    : "iptables -I FORWARD -i sampan0 -j ACCEPT && iptables -I FORWARD -o sampan0 -j ACCEPT";

function judge(
  name: string,
  found: string,
  needed: string,
  good: boolean,
  otherwise: { verdict?: "warning" | "fatal"; mend: string },
): Finding {
  return good
    ? { name, found, needed, verdict: "ok" }
    : { name, found, needed, verdict: otherwise.verdict ?? "fatal", mend: otherwise.mend };
}

const gibibytes = (bytes: number) => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;

/** One line a finding; the mending command below those that need it. */
export function printFindings(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ name }) => name.length));
  return findings
    .map(({ name, found, needed, verdict, mend }) => {
      const mark = verdict === "ok" ? "ok     " : verdict === "warning" ? "warning" : "FATAL  ";
      const want = verdict === "ok" ? "" : `; needed: ${needed}`;
      return `${mark} ${name.padEnd(width)}  ${found}${want}\n${mend ? `        ${" ".repeat(width)}  -> ${mend}\n` : ""}`;
    })
    .join("");
}
