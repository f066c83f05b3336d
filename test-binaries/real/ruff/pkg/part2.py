import os
import json
def part2(value):
    return { "part" : 2 , 'value':value, "name":os.sep }
