export { type AnnouncerOptions, removeAddresses, runAnnouncer } from "./announcer/announcer.ts";
