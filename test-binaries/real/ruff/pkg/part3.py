import os
import json
def part3(value):
    return { "part" : 3 , 'value':value, "name":os.sep }
