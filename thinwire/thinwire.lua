-- Dissects recordings of `thinwire --capture` (link type USER0, see capture.py) in Wireshark and tshark:
--     tshark -X lua_script:thinwire.lua -r FILE

local wire = Proto("thinwire", "thinwire")
local kinds = {
    [0x30] = "write", [0x23] = "write unacked", [0x41] = "read", [0x21] = "select", [0x3f] = "select nibbles",
    [0x53] = "speed", [0x24] = "end", [0x2f] = "dump",
}
local f = {
    direction = ProtoField.uint8("thinwire.direction", "Direction", base.DEC, { [0] = "from victim", [1] = "to victim" }),
    framed = ProtoField.bool("thinwire.framed", "Framed"),
    kind = ProtoField.string("thinwire.kind", "Kind"),
    length = ProtoField.uint32("thinwire.length", "Length"),
    channel = ProtoField.uint8("thinwire.channel", "Channel"),
    payload = ProtoField.bytes("thinwire.payload", "Payload"),
    text = ProtoField.string("thinwire.text", "Text"),
}
wire.fields = { f.direction, f.framed, f.kind, f.length, f.channel, f.payload, f.text }

local function answer(first, channel, has_payload)
    if first == 0x21 or first == 0x3f then return "ready" end
    if first == 0x53 then return "speed" end
    if first == 0x41 and not (channel == 17 and has_payload) then return "written" end
    return "data"
end

function wire.dissector(buffer, packet, root)
    local to_victim, framed = buffer(0, 1):uint() == 1, buffer(1, 1):uint() == 1
    local tree = root:add(wire, buffer())
    tree:add(f.direction, buffer(0, 1))
    tree:add(f.framed, buffer(1, 1))
    packet.cols.protocol = "thinwire"
    packet.cols.src = to_victim and "server" or "victim"
    packet.cols.dst = to_victim and "victim" or "server"
    if not framed or buffer:len() < 7 then
        local text = buffer:len() > 2 and buffer(2):string() or ""
        if buffer:len() > 2 then tree:add(f.text, buffer(2)) end
        packet.cols.info = "text " .. text
        return
    end
    local first, channel = buffer(2, 1):uint(), buffer(6, 1):uint() - 0x20
    local length = (buffer(3, 1):uint() - 0x20) * 4096 + (buffer(4, 1):uint() - 0x20) * 64 + buffer(5, 1):uint() - 0x20
    local kind = to_victim and answer(first, channel, buffer:len() > 7) or kinds[first] or "?"
    tree:add(f.kind, buffer(2, 1), kind)
    tree:add(f.length, buffer(3, 3), length)
    tree:add(f.channel, buffer(6, 1), channel)
    if buffer:len() > 7 then tree:add(f.payload, buffer(7)) end
    packet.cols.info = string.format("%s channel %d length %d", kind, channel, length)
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, wire)
